#!/usr/bin/env bash
# on_gpu.sh prepare | speed | run GPUS MINUTES [options of natural.run] | pack FOLDER
#
# The stages of a run on a GPU machine, from the kit that make_kit.sh packs. Everything is written to
# $WORK (~/natural). MODEL: the GGUF file that prepare reads.
set -euo pipefail
kit=$(cd "$(dirname "$0")" && pwd)
work=${WORK:-$HOME/natural}
python=${PYTHON:-python3}
export PYTHONPATH=$kit/site:$kit PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
export NCCL_NVLS_ENABLE=0 # multicast over NVLink is not to be had on every machine
mkdir -p "$work" # paths in options stay those of the caller's directory
case ${1:-} in
  prepare)
    if [[ ! -d $work/base ]]; then
      "$python" -m natural.prepare --model "${MODEL:?}" --tokenizer "$kit/tokenizer" --out "$work/base.part"
      mv "$work/base.part" "$work/base"
    fi
    ;;
  speed)
    "$python" -m natural.speed --model "$work/base" --questions "$kit/questions" "${@:2}"
    ;;
  run)
    OMP_NUM_THREADS=4 "$python" -m natural.run --model "$work/base" --questions "$kit/questions" \
      --tests "$kit/questions" "$kit/more" --gpus "$2" --minutes "$3" --judges 8 --out "$work/run" "${@:4}"
    ;;
  pack) # in parts of 15 MB, for machines that give back small files only
    mkdir -p "$2"
    split -b 15M -d "$work/run/adapter.gguf" "$2/adapter.gguf."
    tar c -C "$work" --exclude='*.state' --exclude='adapter*' --exclude=tests run | xz -T0 -2 |
      split -b 15M -d - "$2/run.tar.xz."
    ;;
  *)
    sed -n '2s/^# /usage: /p' "$0" >&2
    exit 2
    ;;
esac
