"""Writes a GGUF model as a folder that transformers loads in seconds (weights as bfloat16).

    python -m natural.prepare --model MODEL.gguf --out FOLDER
"""

import argparse
from pathlib import Path

from .model import load_base, load_tokenizer


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, help="folder with tokenizer.json (default: the model's)")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    load_base(args.model, "cpu").save_pretrained(args.out)
    load_tokenizer(args.tokenizer or args.model).save_pretrained(args.out)
    print(f"{args.out}: {sum(f.stat().st_size for f in args.out.iterdir()) / 1e9:.1f} GB")


if __name__ == "__main__":
    main()
