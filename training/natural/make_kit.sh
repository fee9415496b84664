#!/usr/bin/env bash
# make_kit.sh MODEL.gguf QUESTIONS MORE OUT
#
# Packs what a GPU machine without a network needs besides the model: OUT/kit, and OUT/kit.tar.xz to
# carry (5 MB). QUESTIONS: the folder with the training and test files; MORE: one with more test files
# (README.md says which). Needs a Python with requirements.txt (PYTHON, by default python3) and PyPI.
# The tokenizer is made from the GGUF file, which takes minutes; it is kept in OUT for the next time.
set -euo pipefail
if (($# != 4)); then
  sed -n '2s/^# /usage: /p' "$0" >&2
  exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
model=$1 questions=$2 more=$3 out=$4
kit=$out/kit
mkdir -p "$out"
rm -rf "$kit"
mkdir "$kit"

if [[ ! -f $out/tokenizer/tokenizer.json ]]; then
  PYTHONPATH=$here/.. "$python" -c '
import sys
from natural.model import load_tokenizer
load_tokenizer(sys.argv[1]).save_pretrained(sys.argv[2])' "$model" "$out/tokenizer.part"
  mv "$out/tokenizer.part" "$out/tokenizer"
fi
cp -r "$out/tokenizer" "$kit/tokenizer"
mkdir "$kit/natural"
cp "$here"/*.py "$here/../../src/eval/python/math_verify_helper.py" "$kit/natural/"
cp "$here/../lora_file.py" "$kit/"
cp "$here/on_gpu.sh" "$kit/"
cp -r "$questions" "$kit/questions"
cp -r "$more" "$kit/more"
# Besides torch and transformers, which the machine has. Pure Python, so any machine's will do.
"$python" -m pip --disable-pip-version-check install --quiet --no-deps --target "$kit/site" \
  peft==0.21.2 gguf==0.19.0 math-verify==0.9.0 latex2sympy2_extended==1.11.0 antlr4-python3-runtime==4.13.2
rm -rf "$kit/site/bin"
find "$kit" -name __pycache__ -prune -exec rm -rf {} +
tar cJf "$out/kit.tar.xz" -C "$out" kit
du -h "$out/kit.tar.xz"
