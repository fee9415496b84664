"""The small byte-level BPE of the hybrid, which llama.cpp reads as Qwen2's kind (digits stand alone).

    python vocabulary.py --text novel.txt --out tokenizer.json
"""

import argparse
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from texts import wordings

SIZE = 2048
END = "<|endoftext|>"
# What llama.cpp splits a text by if tokenizer.ggml.pre is "qwen2".
PIECES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def train_vocabulary(text: str) -> Tokenizer:
    """A tokenizer of SIZE tokens, the first of which ends a text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PIECES), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    # The questions' words, often enough to be tokens of their own.
    tokenizer.train_from_iterator([text, *wordings() * 100], trainer)
    return tokenizer


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    train_vocabulary(args.text.read_text()).save(str(args.out))


if __name__ == "__main__":
    main()
