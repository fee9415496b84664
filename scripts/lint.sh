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
say "clang-tidy"
mapfile -t units < <(find src -name '*.cpp')
printf '%s\0' "${units[@]}" |
  xargs -0 -n 1 -P "$(getconf _NPROCESSORS_ONLN)" \
    clang-tidy --quiet -p build/release --extra-arg=-Wno-unknown-warning-option
