#!/usr/bin/env bash
# build.sh [PRESET [TARGET...]]
#
# Configures and builds one CMake preset (release, ci, debug, asan, tsan, cuda) into build/PRESET, with
# everything that it needs: Debian packages, libllama, nanobind. What is already there is not made again.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"
[[ ${1:-} != --help ]] || help_and_exit

preset=${1:-release}
"$ROOT/scripts/install-packages.sh"
"$ROOT/scripts/build-llama.sh"
"$ROOT/scripts/fetch-nanobind.sh"
cd "$ROOT"
say "building build/$preset"
mkdir -p build
# The folder is passed by name, so that build folders follow when VASE_BACKENDS or
# CMAKE_PREFIX_PATH changes.
cmake --preset "$preset" -Dllama_DIR="$(scripts/find-llama.sh)" >"build/$preset.log" 2>&1 || {
  cat "build/$preset.log" >&2
  die "CMake cannot configure preset $preset"
}
cmake --build --preset "$preset" ${2:+--target "${@:2}"}
