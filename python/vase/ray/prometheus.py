"""Pages of metrics in Prometheus' text format."""

from __future__ import annotations

import re
from collections.abc import Iterable

_SAMPLE = re.compile(r"^([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S.*)$")


def value_of(name: str, page: str) -> float:
    """The value of a metric without labels. Raises KeyError if the page does not have it."""
    for line in page.splitlines():
        if (sample := _SAMPLE.match(line)) and sample[1] == name and not sample[2]:
            return float(sample[3].split()[0])
    raise KeyError(name)


def one_page(pages: Iterable[tuple[str, str]]) -> str:
    """One page of several, each with the name of its replica, which becomes a label of each sample.

    A metric's samples stand together under one head, as the format wants it.
    """
    heads: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for replica, page in pages:
        family = ""
        for line in page.splitlines():
            if line.startswith("# "):
                family = line.split(" ", 3)[2]
                head = heads.setdefault(family, [])
                if line not in head:
                    head.append(line)
            elif sample := _SAMPLE.match(line):
                name, labels, value = sample.groups()
                more = f",{labels}" if labels else ""
                # Those of a histogram are called otherwise than their head.
                group = family if family and name.startswith(family) else name
                samples.setdefault(group, []).append(f'{name}{{replica="{replica}"{more}}} {value}')
    return "".join(line + "\n" for group, lines in samples.items() for line in [*heads.get(group, []), *lines])
