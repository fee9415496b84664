#!/usr/bin/env python3
"""Writes a GGUF model of a known shape with random Q8_0 weights, for measuring speed and memory.

    python3 bench/random_model.py qwen3-4b model.gguf      # 4.3 GB, needs the package gguf
    python3 bench/random_model.py glm-4.7-flash model.gguf --layers 3

Speed does not depend on the weights, so any model of the shape would measure the same. The text it
writes means nothing.
"""

import argparse

from random_shapes import SHAPES


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("file")
    parser.add_argument("--layers", type=int, help="only so many layers")
    arguments = parser.parse_args()
    write, layers = SHAPES[arguments.shape]
    write(arguments.file, arguments.layers or layers)


if __name__ == "__main__":
    main()
