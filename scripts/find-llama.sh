#!/usr/bin/env bash
# find-llama.sh
#
# Prints the folder of the llama-config.cmake to build against: the one under CMAKE_PREFIX_PATH if
# there is one, else that of build-llama.sh. Fails, printing nothing, if there is neither.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"
[[ ${1:-} != --help ]] || help_and_exit

IFS=: read -r -a prefixes <<<"${CMAKE_PREFIX_PATH:-}"
for prefix in ${prefixes[@]+"${prefixes[@]}"}; do
  for config in "$prefix"/lib*/cmake/llama/llama-config.cmake \
    "$prefix"/lib/*/cmake/llama/llama-config.cmake; do
    if [[ -n $prefix && -f $config ]]; then
      dirname "$config"
      exit 0
    fi
  done
done
own=$(echo "$(llama_dir)"/install/lib*/cmake/llama)
[[ -f $own/llama-config.cmake ]] && echo "$own"
