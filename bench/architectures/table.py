"""Lines of bench/architectures.sh as the table of docs/architectures.md, or compared with it.

    table.py LINES.tsv                     prints the table
    table.py LINES.tsv --check PAGE.md     fails if a model does not stand in the table where it belongs
"""

import argparse
import collections
import re
import sys


def rows_of_lines(lines):
    """(class of memory, outcome) -> names of models."""
    rows = collections.defaultdict(set)
    for line in lines:
        name, memory, verdict, remark = (line.rstrip("\n") + "\t\t\t").split("\t")[:4]
        # What a message says of one model is left out: models of one kind share a row.
        remark = re.sub(r" \(architecture [^)]*\)", "", remark)
        rows[memory, f"{verdict}: {remark}" if remark else verdict].add(name)
    return rows


def table_of(rows):
    lines = ["| memory | outcome | models |", "| --- | --- | --- |"]
    for (memory, outcome), names in sorted(rows.items()):
        lines.append(f"| `{memory}` | {outcome} | {', '.join(sorted(names))} |")
    counts = collections.Counter()
    for (_, outcome), names in rows.items():
        counts[outcome.split(":")[0]] += len(names)
    total = sum(counts.values())
    parts = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
    return [*lines, "", f"Of {total} models: {parts}."]


def rows_of_page(lines):
    rows = {}
    for line in lines:
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if len(cells) == 3 and cells[0].startswith("`"):
            rows[cells[0].strip("`"), cells[1]] = set(cells[2].split(", "))
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lines")
    parser.add_argument("--check", metavar="PAGE")
    arguments = parser.parse_args()
    with open(arguments.lines, encoding="utf-8") as file:
        rows = rows_of_lines(file)
    if not arguments.check:
        print("\n".join(table_of(rows)))
        return 0
    with open(arguments.check, encoding="utf-8") as file:
        page = rows_of_page(file)
    wrong = 0
    for row, names in sorted(rows.items()):
        for name in sorted(names - page.get(row, set())):
            stands = [f"{memory}, {outcome}" for (memory, outcome), listed in page.items() if name in listed]
            print(f"{name}: {row[0]}, {row[1]}; {arguments.check} has: {'; '.join(stands) or 'nothing'}")
            wrong += 1
    if not rows:
        print("no model was tried")
        return 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
