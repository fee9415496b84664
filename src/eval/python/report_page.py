"""The page of a report: tables and inline pictures in one HTML file."""

from html import escape
from typing import NamedTuple

STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --faint: #5c6778; --line: #d5dae2;
  --paper: #ffffff; --better: #1c7c46; --worse: #b3303c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9f1; --faint: #9aa6b8; --line: #343d4c;
  --paper: #14181f; --better: #62c88d; --worse: #f0858f; } }
body { margin: 2rem auto; max-width: 76rem; padding: 0 1rem; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin: 2.5rem 0 .3rem; }
p.note { color: var(--faint); margin: .2rem 0 .8rem; }
figure { margin: 0; overflow-x: auto; } figure svg { width: 100%; max-width: 60rem; height: auto; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9em; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .55rem; text-align: right; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
th { color: var(--faint); font-weight: 600; } th.name, td.name { text-align: left; }
td.better { color: var(--better); } td.worse { color: var(--worse); }
"""


def render(report, figures):
    """The whole page as a string."""
    parts = [f"<h1>{escape(report['title'])}</h1>"]
    for run in report["evaluations"]:
        parts.append(evaluation_table(run))
        if run["comparisons"]:
            parts.append(comparison_table(run, EVALUATION))
    for run in report["recall"]:
        parts.append(recall_table(run))
        if run["comparisons"]:
            parts.append(comparison_table(run, RECALL))
    for figure in figures:
        parts.append(
            f"<h2>{escape(figure.title)}</h2><p class='note'>{escape(figure.note)}</p>"
            f"<figure role='img' aria-label='{escape(figure.title, quote=True)}'>"
            f"{figure.svg()}</figure>"
        )
    for run in report["fidelity"]:
        parts.append(fidelity_table(run))
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(report['title'])}</title><style>{STYLE}</style></head>"
        f"<body>{''.join(parts)}</body></html>\n"
    )


def table(header, rows, names=1):
    """`rows`: lists of texts, or (text, class) pairs. The first `names` columns are to the left."""

    def line(tag, cells):
        out = []
        for index, cell in enumerate(cells):
            text, kind = cell if isinstance(cell, tuple) else (cell, "")
            classes = " ".join(filter(None, ("name" if index < names else "", kind)))
            attribute = f" class='{classes}'" if classes else ""
            out.append(f"<{tag}{attribute}>{escape(str(text))}</{tag}>")
        return f"<tr>{''.join(out)}</tr>"

    body = "".join(line("td", row) for row in rows)
    return f"<div class='scroll'><table>{line('th', header)}{body}</table></div>"


def percent(share):
    return f"{100 * share:.1f}"


def evaluation_table(run):
    tasks = [t for t in dict.fromkeys(cell["task"] for cell in run["cells"]) if t != "all"]
    single = {(c["tier"], c["budget"], c["policy"], c["task"]): c for c in run["cells"]}
    rows = []
    for cell in run["cells"]:
        if cell["task"] != "all":
            continue
        place = (cell["tier"], cell["budget"], cell["policy"])
        of_tasks = [single.get((*place, task)) for task in tasks]
        rows.append(
            [*place]
            + [percent(c["accuracy"]) if c else "" for c in of_tasks]
            + [
                percent(cell["accuracy"]),
                f"{percent(cell['low'])} to {percent(cell['high'])}",
                cell["samples"],
                f"{cell['mean_tokens']:.0f}",
                percent(cell["at_limit"]),
                percent(cell["in_loop"]),
                f"{cell['mean_rows']:.0f}" if cell["mean_rows"] else "",
                f"{cell['peak_kv_bytes'] / 2**20:.1f}",
                f"{cell['tokens_per_second']:.0f}",
            ]
        )
    header = ["tier", "budget", "policy", *tasks, "all", "95%", "answers", "tokens", "limit", "loop",
              "rows", "KV MiB", "tok/s"]  # fmt: skip
    return (
        f"<h2>Right answers, percent ({escape(run['model'])})</h2>"
        "<p class='note'>95%: bootstrap by question. limit, loop: percent of answers that hit the "
        "length limit, that ended in a repetition loop. KV: of one sequence at its largest. tok/s: "
        "tokens over the machine's time that went into them.</p>" + table(header, rows, names=3)
    )


def recall_table(run):
    places = ("length", "after", "budget", "policy")
    columns = list(dict.fromkeys(recall_column(cell) for cell in run["cells"]))
    single = {(*(c[p] for p in places), recall_column(c)): c for c in run["cells"]}
    rows = []
    for cell in run["cells"]:
        if recall_column(cell) != "all":
            continue
        place = tuple(cell[p] for p in places)
        shares = [single.get((*place, column)) for column in columns]
        rows.append(
            [*place]
            + [percent(c["right"]) if c else "" for c in shares]
            + [
                f"{percent(cell['low'])} to {percent(cell['high'])}",
                percent(cell["fraction"]),
                cell["answers"],
                cell["texts"],
            ]
        )
    return (
        f"<h2>Recall, percent of right answers ({escape(run['model'])})</h2>"
        "<p class='note'>length: tokens of the text. after: tokens read on before it was asked. @: "
        "by depth in the text. 95%: of all, bootstrap by text. found: mean share of what was "
        "expected.</p>"
        + table([*places, *columns, "95%", "found", "answers", "texts"], rows, names=4)
    )


def recall_column(cell):
    return cell["category"] if cell["depth"] is None else f"@{cell['depth']:g}"


class Kind(NamedTuple):
    """What is compared: words of the page, and columns before the policy and at the end."""

    title: str
    unit: str
    by: str
    places: tuple
    counts: tuple


EVALUATION = Kind("Against", "accuracy", "question", ("tier", "budget"), ("test", "questions"))
RECALL = Kind(
    "Recall against", "right answers", "text", ("length", "after", "budget"), ("answers", "texts")
)


def comparison_table(run, kind):
    rows = []
    for c in run["comparisons"]:
        sign = "better" if c["low"] > 0 else "worse" if c["high"] < 0 else ""
        rows.append(
            [
                *(c[place] for place in kind.places),
                c["policy"],
                (f"{100 * c['difference']:+.1f}", sign),
                f"{100 * c['low']:+.1f} to {100 * c['high']:+.1f}",
                c["only_policy"],
                c["only_base"],
                "" if c["p_value"] is None else f"{c['p_value']:.3g}",
                *(c[count] for count in kind.counts),
            ]
        )
    base = run["comparisons"][0]["base"]
    header = [*kind.places, "policy", "difference", "95%", "only it", f"only {base}", "p",
              *kind.counts]  # fmt: skip
    return (
        f"<h2>{kind.title} {escape(base)}, on the same questions</h2>"
        f"<p class='note'>Points of {kind.unit}, with a paired bootstrap interval by {kind.by}; "
        "coloured where it does not hold 0. p is two-sided, and not corrected for the number of "
        "rows.</p>" + table(header, rows, names=len(kind.places) + 1)
    )


def fidelity_table(run):
    rows = []
    for t in run["overall"]:
        rows.append(
            [t["policy"], t["budget"], t["rows"], f"{t['kl']:.4f}", f"{t['nll']:.4f}",
             f"{t['nll_full']:.4f}", percent(t["same_top"]), f"{t['peak_kv_bytes'] / 2**20:.1f}",
             t["to"] - t["from"]]
        )  # fmt: skip
    header = ["policy", "budget", "rows", "KL", "NLL", "NLL of full", "same top-1 %", "KV MiB",
              "tokens"]  # fmt: skip
    return (
        f"<h2>Fidelity ({escape(run['model'])}, {escape(run['text'])})</h2>"
        "<p class='note'>Teacher-forced, in nats a token, over the whole text.</p>"
        + table(header, rows, names=2)
    )
