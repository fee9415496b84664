#!/usr/bin/env bash
# quantised_cache.sh [ARGUMENTS...]
#
# What quantising the cache costs and saves, beside and together with eviction: accuracy and fidelity against bytes, one Markdown
# table. ARGUMENTS go to each `vase eval`, for example --tiers 4k --count 64 --parallel 64. What is there already is not run again,
# and a run that was stopped goes on.
#
# Variables, all optional:
#   VASE      the program               (build/release/bin/vase)
#   OUT       folder for the runs       (build/results/quantised)
#   TYPES     of keys and values        (f16 q8_0 q4_0)
#   POLICIES  beside full               (vase-plus)
#   BUDGETS                             (2x,4x,8x)
#   COMMON    for eval and fidelity     (none; for example "-ngl 99" or "-t 1")
#   TEXT      a text for fidelity       (none: the worked solution of a problem of the 2k tier)
#   TOKENS    of the text, at most      (none: all, as far as the model was trained)
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
if [[ ${1:-} == --help || ${1:-} == -h ]]; then
  sed -n '2,/^set /s/^# \{0,1\}//p' "$0"
  exit
fi
vase=${VASE:-$root/build/release/bin/vase}
out=${OUT:-$root/build/results/quantised}
read -r -a types <<<"${TYPES:-f16 q8_0 q4_0}"
policies=full,${POLICIES:-vase-plus}
budgets=${BUDGETS:-2x,4x,8x}
read -r -a common <<<"${COMMON:-}"
mkdir -p "$out"

text=${TEXT:-$out/text.txt}
if [[ ! -f $text ]]; then
  "$vase" tasks make --task program --tier 2k --split tune --count 1 --with-chain |
    python3 -c 'import json, sys; p = json.load(sys.stdin); print(p["question"] + "\n" + p["chain"])' >"$text"
fi
limit=()
[[ -n ${TOKENS:-} ]] && limit=(--tokens "$TOKENS")

first=$out/eval-${types[0]}.jsonl
runs=()
measurements=()
for type in "${types[@]}"; do
  run=$out/eval-$type.jsonl
  runs+=("$run")
  # 4x is the same number of rows for all types: a quarter of what the first type's full cache comes to.
  lengths=()
  [[ $run != "$first" ]] && lengths=(--lengths "$first")
  "$vase" eval --policies "$policies" --budgets "$budgets" -ctk "$type" -ctv "$type" --out "$run" \
    "${lengths[@]}" "${common[@]}" "$@" >"$out/eval-$type.txt"

  measured=$out/fidelity-$type.jsonl
  measurements+=("$measured")
  if [[ ! -f $measured ]]; then
    "$vase" fidelity -f "$text" --policies "$policies" --budgets "$budgets" -ctk "$type" -ctv "$type" \
      --out "$measured.part" "${limit[@]}" "${common[@]}" >"$out/fidelity-$type.txt"
    mv "$measured.part" "$measured"
  fi
done

"$vase" eval --summary "${runs[@]}" --json "$out/tables.json" >"$out/tables.txt"
python3 "$root/bench/quantised_cache_table.py" "$out/tables.json" "${measurements[@]}" | tee "$out/table.md"
