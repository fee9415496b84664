#!/usr/bin/env bash
# run.sh: runs the tests of `vase exec`; exits with 77 (skipped) if llama.cpp's programs are not there.
set -euo pipefail
tests=$(cd "$(dirname "$0")/.." && pwd)
VASE_LLAMA_PROGRAMS=$("$tests/find_llama_programs.sh") || exit 77
export VASE_LLAMA_PROGRAMS
exec "$tests/run_pytest.sh" "$tests/exec"
