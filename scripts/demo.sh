#!/usr/bin/env bash
# demo.sh
#
# The main job on the default model: a puzzle solved in 1,900 tokens with a KV cache of 1,024 rows.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"
[[ ${1:-} != --help ]] || help_and_exit

cd "$ROOT"
scripts/build.sh release vase_cli
scripts/fetch-model.sh >/dev/null
vase=(build/release/bin/vase run --chat --file examples/question.txt --budget 1024 --temp 0 --seed 1
  --summary)
say "${vase[*]}"
exec "${vase[@]}"
