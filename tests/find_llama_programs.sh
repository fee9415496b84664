#!/usr/bin/env bash
# find_llama_programs.sh: prints the folder of llama.cpp's programs, in the build that libllama ($llama_DIR) was
# installed from, or beside it; exits with 1 if they are not there.
set -euo pipefail
# shellcheck disable=SC2154  # ctest says it
prefix=$(cd "$llama_DIR/../../.." && pwd)
for folder in "$prefix/../build/bin" "$prefix/bin"; do
  if [[ -x $folder/llama-server ]]; then
    echo "$folder"
    exit 0
  fi
done
echo "no llama-server in $prefix/../build/bin or $prefix/bin: scripts/build-llama-programs.sh makes it" >&2
exit 1
