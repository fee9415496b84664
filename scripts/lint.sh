#!/usr/bin/env bash
# lint.sh [--fix]
#
# Checks the layout of the C++ sources (clang-format), common mistakes in them (clang-tidy) and the
# shell scripts (shellcheck). With --fix it only lays the sources out, in place.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"
[[ ${1:-} != --help ]] || help_and_exit

cd "$ROOT"
scripts/install-packages.sh --lint
folders=()
for folder in include src tests bench examples; do
  [[ ! -d $folder ]] || folders+=("$folder")
done
mapfile -t sources < <(find "${folders[@]}" -name '*.cpp' -o -name '*.hpp' -o -name '*.h' -o -name '*.c')

if [[ ${1:-} == --fix ]]; then
  clang-format -i "${sources[@]}"
  exit 0
fi

say "clang-format on ${#sources[@]} files"
clang-format --dry-run -Werror "${sources[@]}"

say "shellcheck"
mapfile -t shell < <(find scripts tests -name '*.sh')
shellcheck --external-sources "${shell[@]}" .ci/run

scripts/build.sh release

# tidy DATABASE: looks at the units that this build folder compiles, and leaves the others in rest.
tidy() {
  local unit units=()
  mapfile -t compiled < <(sed -n 's|^ *"file": "\(.*\)",\{0,1\}$|\1|p' "$1/compile_commands.json")
  local -A known=()
  for unit in "${compiled[@]}"; do known[${unit#"$ROOT/"}]=1; done
  local left=()
  for unit in "${rest[@]}"; do
    if [[ -n ${known[$unit]:-} ]]; then units+=("$unit"); else left+=("$unit"); fi
  done
  rest=("${left[@]}")
  ((${#units[@]} > 0)) || return 0
  say "clang-tidy on ${#units[@]} files, as $1 compiles them"
  printf '%s\0' "${units[@]}" |
    xargs -0 -n 1 -P "$(getconf _NPROCESSORS_ONLN)" \
      clang-tidy --quiet -p "$1" --extra-arg=-Wno-unknown-warning-option
}

mapfile -t rest < <(find src -name '*.cpp' | sort)
tidy build/release
# What only a build for CUDA devices has: configuring one is enough.
if cmake --preset cuda -B build/lint-cuda -Dllama_DIR="$(scripts/find-llama.sh)" >build/lint-cuda.log 2>&1; then
  tidy build/lint-cuda
else
  say "preset cuda cannot be configured here (build/lint-cuda.log)"
fi
((${#rest[@]} == 0)) || say "clang-tidy did not look at what no build here compiles: ${rest[*]}"
