#!/usr/bin/env bash
# results.sh published
# results.sh tune|test [ARGUMENTS...]
#
# published: prints the tables of docs/results.md again from its runs, which lie in docs/results,
# those of the public sets side by side, and draws the page of the puzzles into
# build/results/published. Takes a minute or two; the page needs matplotlib in python3, or in the Python
# that VASE_PYTHON names.
#
# tune, test: runs the evaluation, into build/results/SPLIT, and draws its page. What is there
# already is not run again. ARGUMENTS go to each `vase eval`, for example -ngl 99 --contexts 4.
#
# Variables, all optional:
#   VASE      the program               (build/release/bin/vase)
#   PARALLEL  questions at a time       (64)
#   BEST      policies of the long tiers (vase-plus,vase,vase-cur,random+prompt)
#   BASE      published: policy that the others are compared with (vase)
#   TEXT      a text for fidelity       (none: the worked solution of a problem)
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
split=${1:-}
if [[ $split != tune && $split != test && $split != published ]]; then
  sed -n '2,/^set /s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
shift
vase=${VASE:-$root/build/release/bin/vase}
best=${BEST:-vase-plus,vase,vase-cur,random+prompt}
out=$root/build/results/$split
mkdir -p "$out"

if [[ $split == published ]]; then
  rm -f "$out"/*.jsonl # of runs that are not there any more
  for run in "$root"/docs/results/*.jsonl.gz; do
    name=$(basename "$run" .gz)
    gunzip -c "$run" >"$out/$name"
    [[ $name != recall-* ]] || continue # below
    echo "== $name"
    "$vase" eval --summary "$out/$name" --base "${BASE:-vase}"
  done
  sets=()
  compare() { # POLICY SET RUNS...: keeps the tables of the runs, all against the policy
    "$vase" eval --summary "${@:3}" --base "$1" --json "$out/$2-tables.json" >"$out/$2-tables.txt"
    sets+=("$2=$out/$2-tables.json")
  }
  compare_pinned() { # POLICY: the sets with the newest question pinned, and all of them together
    local run
    sets=()
    for run in "$out"/*-turns8-pinned.jsonl; do compare "$1" "$(basename "$run" -turns8-pinned.jsonl)" "$run"; done
    compare "$1" "all six" "$out"/*-turns8-pinned.jsonl
  }
  for run in "$out"/*-turns8.jsonl; do compare vase-plus "$(basename "$run" -turns8.jsonl)" "$run"; done
  compare vase-plus "all six" "$out"/*-turns8.jsonl
  echo "== public sets in turns of eight"
  shown=full,vase-plus,vase+prompt,snapkv+prompt,rkv+prompt,random+prompt,rkv
  python3 "$root/bench/conversation_table.py" --policies "$shown" --budgets 8x "${sets[@]}"
  python3 "$root/bench/look_backs_by_question.py" --policies "$shown" --budget 8x "$out"/*-turns8.jsonl
  # AQuA's and BIG-Bench-Hard's look-backs were asked in other words than in the runs above.
  echo "== the same, rivals that came later"
  sets=()
  alike=()
  for set in gsm8k asdiv mawps math500; do
    compare vase-plus "$set" "$out/$set-turns8.jsonl" "$out/$set-turns8-rivals.jsonl"
    alike+=("$out/$set-turns8.jsonl" "$out/$set-turns8-rivals.jsonl")
  done
  compare vase-plus "all four" "${alike[@]}"
  shown=full,vase-plus,rkv+prompt,h2o+prompt,triattention,keydiff+prompt
  python3 "$root/bench/conversation_table.py" --policies "$shown" --budgets 8x "${sets[@]}"
  python3 "$root/bench/look_backs_by_question.py" --policies "$shown" --budget 8x "${alike[@]}"
  echo "== the newest question pinned"
  compare_pinned vase-plus
  shown=full,vase-plus,rkv+prompt,streaming+prompt,snapkv+prompt,random+prompt
  python3 "$root/bench/conversation_table.py" --policies "$shown" --budgets 16x,8x,4x "${sets[@]}"
  echo "of GSM8K alone:"
  python3 "$root/bench/look_backs_by_question.py" --policies "$shown" --budget 8x "$out/gsm8k-turns8-pinned.jsonl"
  echo "== the same without a pin"
  sets=()
  for set in gsm8k asdiv mawps math500 aqua bbh; do compare vase-plus "$set" "$out/$set"-turns8-{pinned,unpinned}.jsonl; done
  compare vase-plus "all six" "$out"/*-turns8-{pinned,unpinned}.jsonl
  python3 "$root/bench/conversation_table.py" --policies full,vase-plus,vase-plus+noprompt,rkv,snapkv,random,vase --budgets 8x "${sets[@]}"
  echo "== the same, against vase-plus@2"
  compare_pinned vase-plus@2
  python3 "$root/bench/conversation_table.py" --policies full,vase-plus@2,vase-plus,rkv+prompt,streaming+prompt --budgets 16x,8x,4x "${sets[@]}"
  echo "== the same with a model of 0.5B"
  sets=()
  for run in "$out"/*-turns8-qwen05.jsonl; do compare vase-plus@2 "$(basename "$run" -turns8-qwen05.jsonl)" "$run"; done
  compare vase-plus@2 "all three" "$out"/*-turns8-qwen05.jsonl
  python3 "$root/bench/conversation_table.py" --policies full,vase-plus@2,vase-plus,rkv+prompt,streaming+prompt --budgets 16x,8x,4x "${sets[@]}"
  echo "== packed questions"
  "$vase" eval --summary "$out/gsm8k-pack8.jsonl" --base vase-plus
  "$vase" eval --summary "$out/gsm8k-pack16.jsonl" --base vase-plus
  echo "== natural chains"
  "$vase" eval --summary "$out"/natural-*.jsonl --base vase-plus
  "$vase" eval --summary "$out"/natural-*.jsonl --base vase-plus@2
  python3 "$root/bench/closed_thoughts.py" --base vase-plus "$out"/natural-{asdiv,gsm8k,math500}.jsonl
  python3 "$root/bench/chain_fidelity.py" --table "$root/docs/results/fidelity/chains/natural-8x.jsonl"
  echo "== natural chains, the mark that opens the thought not pinned"
  "$vase" eval --summary "$out"/unmarked-natural-*.jsonl --base vase-plus
  python3 "$root/bench/closed_thoughts.py" --base vase-plus "$out"/unmarked-natural-{asdiv,gsm8k,math500}.jsonl
  for set in asdiv gsm8k math500; do # the picture, of budgets that are shares
    grep -Ev '"budget": ?"(512|1024)"' "$out/natural-$set.jsonl" >"$out/all-three-$set.jsonl"
  done
  "$vase" report "$out"/all-three-*.jsonl --out "$out/report-natural" --title "Natural chains: ASDiv, GSM8K, MATH-500"
  echo "== right answers by the budget for thinking"
  python3 "$root/bench/thinking_budget.py" --program "$vase" --folder "$out"
  echo "== tuning conversations, vase-plus@2"
  "$vase" eval --summary "$out"/tuning-gsm8k-turns-{pin,vase-plus-2}.jsonl --base vase-plus
  "$vase" eval --summary "$out/tuning-gsm8k-turns-held.jsonl" --base vase-plus@2
  "$vase" eval --summary "$out/tuning-natural-gsm8k.jsonl" --base vase-plus
  echo "== tuning texts, less the full cache"
  python3 "$root/bench/explored_table.py" "$root"/docs/results/explored/texts*.jsonl.gz
  echo "== fidelity on texts"
  python3 "$root/bench/fidelity_table.py" "$root"/docs/results/fidelity/*.jsonl
  echo "== puzzles, rivals that came later"
  "$vase" eval --summary "$out/2k-rivals.jsonl" "$out/2k-triattention.jsonl" --base vase-plus
  echo "== recall"
  for run in "$out"/recall-{4096,16384}.jsonl; do "$vase" recall --report "$run"; done
  "$vase" recall --report "$out"/recall-4096-again*.jsonl --base vase-plus
  "$vase" recall --report "$out"/recall-2048-smollm2.jsonl --base vase-plus
  "$vase" recall --report "$out"/recall-4096-{again,cur,vase-plus-2}.jsonl --base vase-plus
  "$vase" recall --report "$out"/recall-16384*.jsonl --base vase-plus
  "$vase" recall --report "$out"/recall-30000.jsonl --base vase-plus
  "$vase" recall --report "$out"/recall-4096-qwen05*.jsonl --base vase-plus
  "$vase" recall --report "$out"/recall-8192-gemma.jsonl --base vase-plus
  exec "$vase" report "$out"/{2k,4k,8k}.jsonl --out "$out/report" --title "vase.cpp: results (test)"
fi

all=full,vase,vase-plus,vase-cur,snapkv,rkv,streaming,random,random+prompt,vase+prompt,rkv+prompt,evict-large
evaluate() { # FILE TIERS POLICIES BUDGETS [ARGUMENTS...]
  "$vase" eval --split "$split" --tiers "$2" --policies "$3" --budgets "$4" \
    --parallel "${PARALLEL:-64}" --out "$out/$1" "${@:5}"
}
evaluate 2k.jsonl 2k "$all" 2x,4x,8x "$@"
evaluate long.jsonl 4k,8k "full,$best" 4x "$@"
evaluate sampled.jsonl 2k "full,$best" 4x --temp 0.6 --samples 4 "$@"

text=${TEXT:-$out/text.txt}
if [[ ! -f $text ]]; then
  "$vase" tasks make --task program --tier 4k --split "$split" --count 1 --with-chain |
    python3 -c 'import json, sys; p = json.load(sys.stdin); print(p["question"] + "\n" + p["chain"])' >"$text"
fi
"$vase" fidelity -f "$text" --budgets 2x,4x,8x --out "$out/fidelity.jsonl" \
  --policies vase,vase-cur,snapkv,rkv,streaming,random,random:sinks=0,evict-large

"$vase" report "$out"/{2k,long,fidelity}.jsonl --out "$out/report" --title "vase.cpp: results ($split)"
"$vase" report "$out/sampled.jsonl" --out "$out/report-sampled" --title "vase.cpp: temperature 0.6 ($split)"
