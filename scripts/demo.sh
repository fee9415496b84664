#!/usr/bin/env bash
# demo.sh
#
# The main job on the default model: 3,000 tokens generated in a KV cache of 512 rows.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"
[[ ${1:-} != --help ]] || help_and_exit

cd "$ROOT"
scripts/build.sh release vase_cli
model=$(scripts/fetch-model.sh)
vase=(build/release/bin/vase run --model "$model" --budget 512 --n-predict 3000 --ignore-eos
  --temp 1 --top-k 0 --top-p 1 --min-p 0.02 --seed 3 --prompt "The old lighthouse keeper had a secret.")
say "${vase[*]}"
exec "${vase[@]}"
