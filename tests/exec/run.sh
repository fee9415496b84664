#!/usr/bin/env bash
# run.sh: runs the tests of `vase exec`; exits with 77 (skipped) if llama.cpp's programs are not there. They
# stand in the build that libllama was installed from, or beside it.
set -euo pipefail
prefix=$(cd "$llama_DIR/../../.." && pwd)
for folder in "$prefix/../build/bin" "$prefix/bin"; do
  if [[ -x $folder/llama-server ]]; then
    export VASE_LLAMA_PROGRAMS=$folder
    exec "$(dirname "$0")/../run_pytest.sh" "$(dirname "$0")"
  fi
done
echo "no llama-server in $prefix/../build/bin or $prefix/bin: scripts/build-llama-programs.sh makes it" >&2
exit 77
