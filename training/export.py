"""Writes a trained adapter as the GGUF file that the program loads.

    python export.py --run run --out models/vase-reasoner-lora.gguf
"""

import argparse
from pathlib import Path

import torch

from adapter_file import write_adapter


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, default=Path("run"), help="folder train.py wrote")
    parser.add_argument("--out", type=Path, default=Path("models/vase-reasoner-lora.gguf"))
    args = parser.parse_args()
    write_adapter(args.out, torch.load(args.run / "adapter.pt", map_location="cpu")["adapter"])
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
