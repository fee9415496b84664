#!/usr/bin/env bash
# run.sh: runs the tests of vase.ray, that of llama-server too where it is there.
set -euo pipefail
tests=$(cd "$(dirname "$0")/.." && pwd)
VASE_LLAMA_PROGRAMS=$("$tests/find_llama_programs.sh") || true
export VASE_LLAMA_PROGRAMS
exec "$tests/run_pytest.sh" "$tests/ray" ray
