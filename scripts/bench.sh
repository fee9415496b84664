#!/usr/bin/env bash
# bench.sh [ARGUMENTS...]
#
# Builds the benchmarks and runs those of Google Benchmark, one after the other; ARGUMENTS go to each (for example
# --benchmark_filter=vase).
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"
[[ ${1:-} != --help ]] || help_and_exit

cd "$ROOT"
scripts/build.sh release
found=false
for program in build/release/bench/*_bench; do
  [[ -f $program && -x $program ]] || continue
  found=true
  say "$program $*"
  "$program" "$@"
done
$found || die "there are no benchmarks in build/release/bench"
