#!/usr/bin/env python3
"""The table of what training/explore_texts.py found: a variant a line.

    python3 bench/explored_table.py docs/results/explored/texts.jsonl.gz [--base plus]

Each cell is the mean loss of the asked tokens less the full cache's, in thousandths of a nat, and where the whole answer was asked for the share
that was the likeliest token by token. Bold: clearly better than the base, on the same texts; italic: clearly worse (1.96 standard errors of the
mean of the texts' differences).
"""

import argparse
import gzip
import json
import math
import sys
from collections import defaultdict
from pathlib import Path
from statistics import mean, stdev

KINDS = {"ways": "natural: ways", "comparison": "comparison", "turn": "turn", "look result": "looking back: result", "look number": "number", "fact": "facts", "chain": "chains", "prose": "prose"}
WHOLE = ("look number", "fact")  # answers of which the share that is right says something


def read(paths):
    """(variant, kind) -> text -> (mean loss, share right); and (variant, kind) -> mean over all answers of both."""
    texts, means = defaultdict(dict), {}
    for path in paths:
        for line in gzip.open(path, "rt") if path.suffix == ".gz" else path.open():
            record = json.loads(line)
            answers = defaultdict(list)
            for number, of_text in enumerate(record["answers"]):
                by_kind = defaultdict(list)
                for kind, loss, right, _ in of_text:
                    by_kind[kind].append(loss)
                    answers[kind].append((loss, right))
                for kind, losses in by_kind.items():
                    texts[record["variant"], kind][number] = mean(losses)
            for kind, all_of in answers.items():
                means[record["variant"], kind] = mean(a for a, _ in all_of), mean(r for _, r in all_of)
    return texts, means


def clear(here, base):
    """-1: lower, 1: higher than the base on the texts of both, by more than chance; else 0."""
    apart = [here[i] - base[i] for i in here if i in base]
    if len(apart) < 2 or not any(apart):
        return 0
    limit = 1.96 * stdev(apart) / math.sqrt(len(apart))
    return 0 if abs(mean(apart)) <= limit else math.copysign(1, mean(apart))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", type=Path, nargs="+")
    parser.add_argument("--base", default="plus")
    args = parser.parse_args()
    try:
        texts, means = read(args.records)
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"cannot read {', '.join(map(str, args.records))}: records of training/explore_texts.py are wanted ({error!r})")
    for variant in ("full", args.base):
        if not any(name == variant for name, _ in means):
            sys.exit(f'there is no variant "{variant}" among the records, with which the others are compared')
    kinds = [kind for kind in KINDS if any(k == kind for _, k in means)]
    print("| variant | " + " | ".join(KINDS[kind] for kind in kinds) + " |")
    print("| --- |" + " --- |" * len(kinds))
    for variant in dict.fromkeys(variant for variant, _ in means):
        cells = []
        for kind in kinds:
            if (variant, kind) not in means:
                cells.append("")
                continue
            loss, right = means[variant, kind]
            cell = f"{1000 * (loss - means['full', kind][0]):.0f}"
            mark = {-1: "**", 1: "_", 0: ""}[clear(texts[variant, kind], texts[args.base, kind]) if variant not in ("full", args.base) else 0]
            cells.append(f"{mark}{cell}{mark}" + (f" ({100 * right:.0f}%)" if kind in WHOLE else ""))
        print(f"| `{variant}` | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
