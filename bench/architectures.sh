#!/usr/bin/env bash
# architectures.sh [--slice] [--check] [--gpu] [NAME...]
#
# Which architectures of llama.cpp can be bounded: writes the tiny models of its own test-llama-archs (random weights), tries each
# in a process of its own, and prints one line a model and the counts; what is tried stands in bench/architectures/try_architecture.cpp.
# Names as llama.cpp has them ("qwen3", "gpt-oss") choose some; none given: all there are.
#
#   --slice   about twenty of them: each class of memory, each kind of layer
#   --check   compare with the table of docs/architectures.md, and fail if a model is not where it stands there
#   --table   print that table instead
#   --gpu     on a GPU
#
# Variables, all optional:
#   TRY_ARCHITECTURE   the program                  (build/release/bench/architectures/try_architecture)
#   TEST_LLAMA_ARCHS   llama.cpp's program          (in the build of llama.cpp in the cache folder)
#   JOBS               models at a time             (one a processor)
#   OUT                the lines, to be kept        (none)
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/../scripts/lib.sh"
[[ ${1:-} != --help ]] || help_and_exit

slice=(qwen3 llama gemma3 gpt-oss cohere2 deepseek2 mistral4 qwen35 nemotron_h granitehybrid falcon-h1 jamba lfm2 kimi-linear
  qwen3vl hy_v4 deepseek4 minimax-m3 glm5-next bloom gpt2 mamba)
names=()
check=false table=false gpu=()
while (($#)); do
  case $1 in
  --slice) names+=("${slice[@]}") ;;
  --check) check=true ;;
  --table) table=true ;;
  --gpu) gpu=(--gpu) ;;
  -*) die "unknown argument $1 (try --help)" ;;
  *) names+=("$1") ;;
  esac
  shift
done

try=${TRY_ARCHITECTURE:-$ROOT/build/release/bench/architectures/try_architecture}
[[ -x $try ]] || die "there is no $try; make build makes it"
archs=${TEST_LLAMA_ARCHS:-$(llama_dir)/build/bin/test-llama-archs}
if [[ ! -x $archs ]]; then
  say "there is no $archs, which writes the models; scripts/build-llama-programs.sh builds it"
  exit 77 # for ctest: skipped
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/vase-architectures.XXXXXX")
trap 'rm -rf "$work"' EXIT
filter='.'
((${#names[@]} == 0)) || filter="^($(IFS='|' && echo "${names[*]}"))\$"
say "writing the models"
"$archs" --arch "$filter" --seed 1 --out "$work" >"$work/log" 2>&1 || {
  tail -n 5 "$work/log" >&2
  die "$archs failed"
}

# What crashed says so on a line of its own; the model goes as soon as it was tried.
try_one() {
  local model=$1 line status=0
  shift
  line=$("$@" "$model" 2>/dev/null) || status=$?
  ((status < 128)) || line+=$'crashed\tstatus '$status
  printf '%s\t%s\n' "$(basename "$model" .gguf)" "$line"
  rm "$model"
}
export -f try_one
export GGML_NO_BACKTRACE=1
say "trying them"
printf '%s\0' "$work"/*.gguf |
  xargs -0 -P "${JOBS:-$(getconf _NPROCESSORS_ONLN)}" -I{} bash -c 'try_one "$@"' try {} "$try" "${gpu[@]}" |
  sort >"$work/lines.tsv"
[[ -z ${OUT:-} ]] || cp "$work/lines.tsv" "$OUT"

if $table; then
  python3 "$ROOT/bench/architectures/table.py" "$work/lines.tsv"
else
  cat "$work/lines.tsv"
  cut -f 3 "$work/lines.tsv" | sort | uniq -c
fi
! $check || python3 "$ROOT/bench/architectures/table.py" "$work/lines.tsv" --check "$ROOT/docs/architectures.md"
