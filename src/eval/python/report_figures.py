"""The pictures of a report: one function for each kind."""

import io
import re
from collections import Counter, defaultdict

import matplotlib.pyplot as plt
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

# Placeholders that become CSS variables in the page, so that a picture follows light and dark.
INK, FAINT, PAPER = "#010203", "#040506", "#070809"
LIGHT = {INK: "#1d2430", FAINT: "#d5dae2", PAPER: "#ffffff"}
CSS = {INK: "var(--ink)", FAINT: "var(--line)", PAPER: "var(--paper)"}

# Told apart on white and on black; the full cache is drawn in ink.
COLOURS = [
    "#2f7ed8", "#e2711d", "#3a9d5d", "#b14fc5", "#c9a227",
    "#d64550", "#17a2a2", "#8a6d5b", "#7f8ea3", "#e377c2",
]  # fmt: skip
MARKERS = "osD^vPX<>*"

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "svg.fonttype": "path",
    "svg.hashsalt": "vase",
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "axes.edgecolor": FAINT,
    "axes.grid": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
}


class Figure:
    """A finished picture: `name` of its file, `title` and `note` for the page."""

    def __init__(self, name, title, note, draw):
        self.name, self.title, self.note = name, title, note
        with plt.rc_context(STYLE):
            figure = draw()
            text = io.StringIO()
            figure.savefig(text, format="svg", bbox_inches="tight", metadata={"Date": None})
            plt.close(figure)
        self._svg = text.getvalue()[text.getvalue().index("<svg") :]
        with plt.rc_context({key: LIGHT.get(value, value) for key, value in STYLE.items()}):
            self._png = self._draw_png(draw)

    @staticmethod
    def _draw_png(draw):
        global INK, FAINT, PAPER
        kept = INK, FAINT, PAPER
        INK, FAINT, PAPER = (LIGHT[colour] for colour in kept)
        try:
            figure = draw()
        finally:
            INK, FAINT, PAPER = kept
        data = io.BytesIO()
        figure.savefig(data, format="png", dpi=150, bbox_inches="tight")
        plt.close(figure)
        return data.getvalue()

    def save_png(self, path):
        path.write_bytes(self._png)

    def svg(self):
        """The picture as inline SVG: its ids made its own, its colours the page's."""
        text = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{self.name}-", self._svg)
        for colour, variable in CSS.items():
            text = text.replace(colour, variable)
        text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
        return re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)


def draw_all(report):
    """All pictures that the data of `report` gives, in the order of the page."""
    colours = colours_of(policies_of(report))
    for index, run in enumerate(report["evaluations"]):
        for tier in tiers_of(run):
            suffix = "-".join(part for part in (tier, str(index + 1) if index else "") if part)
            yield from evaluation_figures(run, tier, suffix, colours)
    drawn = Counter()
    for run in report["recall"]:
        for length in dict.fromkeys(cell["length"] for cell in run["cells"]):
            drawn[length] += 1
            again = f"-{drawn[length]}" if drawn[length] > 1 else ""
            yield from recall_figures(run, length, f"{length}{again}", colours)
    for index, run in enumerate(report["fidelity"]):
        yield fidelity_figure(run, f"kl-by-position{f'-{index + 1}' if index else ''}", colours)
    if report["benches"]:
        yield bench_figure(report["benches"])


def tiers_of(run):
    return list(dict.fromkeys(cell["tier"] for cell in run["cells"]))


def policies_of(report):
    """Each policy that evicts, as often as it is measured: one has one colour in all pictures."""
    for run in report["evaluations"] + report["recall"]:
        yield from (cell["policy"] for cell in run["cells"] if not keeps_all(cell))
    for run in report["fidelity"]:
        yield from (bucket["policy"] for bucket in run["buckets"] if not keeps_all(bucket))


def keeps_all(entry):
    """Whether it was measured without eviction: then there is no number for a budget."""
    return entry["budget"] == "full"


def colours_of(policies):
    names = list(dict.fromkeys(policies))
    return {name: (COLOURS[i % 10], MARKERS[i % 10]) for i, name in enumerate(names)}


def evaluation_figures(run, tier, suffix, colours):
    cells = [cell for cell in run["cells"] if cell["tier"] == tier]
    totals = [cell for cell in cells if cell["task"] == "all"]
    where = f"tier {tier}, {run['model']}" if tier else run["model"]

    def name(kind):
        return f"{kind}-{suffix}" if suffix else kind

    if any(not keeps_all(cell) for cell in totals):
        yield Figure(
            name("accuracy"),
            f"Accuracy against budget ({where})",
            "Share of right answers over all tasks; bars are 95% intervals, bootstrap by question.",
            lambda: accuracy_against_budget(totals, colours),
        )
    yield Figure(
        name("tasks"),
        f"Accuracy by task ({where})",
        "Percent of right answers.",
        lambda: task_tables(cells),
    )
    yield Figure(
        name("loops"),
        f"Answers that never came ({where})",
        "Hatched: ended in a repetition loop; the whole bar: hit the length limit.",
        lambda: loops(totals, colours),
    )
    lengths = [entry for entry in run["lengths"] if entry["tier"] == tier]
    yield Figure(
        name("lengths"),
        f"Lengths ({where})",
        "Tokens of each answer: the box holds the middle half, the whiskers all.",
        lambda: length_boxes(lengths, colours),
    )


def accuracy_against_budget(totals, colours):
    figure, axes = plt.subplots(figsize=(7, 4.2))
    lines = defaultdict(list)
    for cell in totals:
        if keeps_all(cell):
            axes.axhline(cell["accuracy"], color=INK, linestyle="--", linewidth=1.2, label="full")
            axes.axhspan(cell["low"], cell["high"], color=INK, alpha=0.07, linewidth=0)
        else:
            lines[cell["policy"]].append(cell)
    count = len(lines)
    for index, (policy, points) in enumerate(lines.items()):
        points.sort(key=lambda cell: cell["mean_rows"])
        # Side by side, or the intervals would hide each other.
        shift = 1 + 0.012 * (index - (count - 1) / 2)
        x = [cell["mean_rows"] * shift for cell in points]
        y = [cell["accuracy"] for cell in points]
        # The bootstrap of a few answers may not reach the mean on one side.
        below = [max(0, cell["accuracy"] - cell["low"]) for cell in points]
        above = [max(0, cell["high"] - cell["accuracy"]) for cell in points]
        colour, marker = colours[policy]
        axes.errorbar(x, y, (below, above), color=colour, marker=marker, markersize=5,
                      linewidth=1.5, elinewidth=0.8, capsize=2, label=policy)  # fmt: skip
    axes.set_xscale("log")
    rows = sorted({round(cell["mean_rows"]) for cell in totals if not keeps_all(cell)})
    labels = {round(cell["mean_rows"]): cell["budget"] for cell in totals}
    axes.set_xticks(rows, [f"{row}\n{labels[row]}" for row in rows])
    axes.minorticks_off()
    axes.set_xlabel("budget: rows of each head (mean over tasks)")
    axes.set_ylabel("right answers")
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_ylim(-0.03, 1.03)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def pale_red_to_green():
    """Light enough for dark text in every cell, on paper of any colour."""
    return ListedColormap(0.35 + 0.65 * plt.get_cmap("RdYlGn")(range(256))[:, :3])


def task_tables(cells):
    budgets = list(dict.fromkeys(cell["budget"] for cell in cells))
    tasks = [name for name in dict.fromkeys(cell["task"] for cell in cells) if name != "all"]
    columns = tasks + ["all"]
    policies = {b: list(dict.fromkeys(c["policy"] for c in cells if c["budget"] == b)) for b in budgets}
    heights = [len(policies[budget]) for budget in budgets]
    figure, panels = plt.subplots(
        len(budgets), 1, squeeze=False, height_ratios=heights,
        figsize=(1.6 + 0.85 * len(columns), 0.6 * len(budgets) + 0.34 * sum(heights)),
    )  # fmt: skip
    values = {(c["budget"], c["policy"], c["task"]): c["accuracy"] for c in cells}
    for axes, budget in zip(panels[:, 0], budgets):
        grid = [[values.get((budget, p, t), float("nan")) for t in columns] for p in policies[budget]]
        heat_map(axes, grid, policies[budget], columns)
        axes.set_title("full cache" if budget == "full" else f"budget {budget}")
    figure.tight_layout()
    return figure


def heat_map(axes, grid, rows, columns):
    """A table of percentages on their colours. `grid`: shares, a list a row; nan: not measured."""
    axes.imshow(grid, cmap=pale_red_to_green(), vmin=0, vmax=1, aspect="auto")
    for y, row in enumerate(grid):
        for x, value in enumerate(row):
            text = "" if value != value else f"{100 * value:.0f}"
            weight = "bold" if columns[x] == "all" else "normal"
            axes.text(x, y, text, ha="center", va="center", color="#10151d", weight=weight)
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(length=0, top=False)
    axes.grid(False)
    axes.spines[:].set_visible(False)


def loops(totals, colours):
    figure, axes = plt.subplots(figsize=(7, 0.7 + 0.24 * len(totals)))
    names = []
    for index, cell in enumerate(totals):
        colour = INK if keeps_all(cell) else colours[cell["policy"]][0]
        axes.barh(index, cell["at_limit"], color=colour, alpha=0.45)
        axes.barh(index, cell["in_loop"], color=colour, hatch="////", edgecolor=PAPER, linewidth=0)
        names.append("full" if keeps_all(cell) else f"{cell['policy']}  {cell['budget']}")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlim(0, max(0.05, 1.05 * max(cell["at_limit"] for cell in totals)))
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("share of answers")
    axes.legend(
        handles=[Patch(facecolor=FAINT, label="reached the length limit"),
                 Patch(facecolor=FAINT, edgecolor=INK, hatch="////", label="ended in a loop")],
        loc="lower center", bbox_to_anchor=(0.5, 1), ncol=2,
    )  # fmt: skip
    return figure


def length_boxes(lengths, colours):
    figure, axes = plt.subplots(figsize=(7, 0.7 + 0.24 * len(lengths)))
    names = []
    for index, entry in enumerate(lengths):
        full = keeps_all(entry)
        tokens = sorted(entry["tokens"])
        low, middle, high = (tokens[round(share * (len(tokens) - 1))] for share in (0.25, 0.5, 0.75))
        axes.hlines(index, tokens[0], tokens[-1], color=INK, linewidth=0.9)
        colour = FAINT if full else colours[entry["policy"]][0]
        axes.barh(index, high - low, left=low, height=0.6, color=colour, edgecolor=INK,
                  linewidth=0.7, zorder=3)  # fmt: skip
        axes.vlines(middle, index - 0.3, index + 0.3, color=INK, linewidth=1.6, zorder=4)
        names.append("full" if full else f"{entry['policy']}  {entry['budget']}")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlim(left=0)
    axes.set_xlabel("tokens generated")
    return figure


def recall_figures(run, length, suffix, colours):
    cells = [cell for cell in run["cells"] if cell["length"] == length]
    where = f"{length:,} tokens, {run['model']}"
    by_depth = [cell for cell in cells if cell["depth"] is not None]
    if by_depth:
        counts = sorted({cell["answers"] for cell in by_depth})
        several = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else counts[0]
        yield Figure(
            f"recall-by-depth-{suffix}",
            f"Recall by depth ({where})",
            "Right answers to what was planted at a depth of the text, all categories that have one. "
            f"A point is {several} answers.",
            lambda: recall_by_depth(by_depth, colours),
        )
    totals = [cell for cell in cells if cell["depth"] is None]
    yield Figure(
        f"recall-by-category-{suffix}",
        f"Recall by category ({where})",
        "Percent of right answers.",
        lambda: recall_tables(totals),
    )


def recall_panels(cells):
    """The panels of a picture: (after, budget) and a title. The full cache is in all of them."""
    budgets = [b for b in dict.fromkeys(cell["budget"] for cell in cells) if b != "full"] or ["full"]
    for after in dict.fromkeys(cell["after"] for cell in cells):
        asked = f"after {after:,} more tokens" if after else "at once"
        for budget in budgets:
            cache = "full cache" if budget == "full" else f"budget {budget}"
            yield after, budget, f"{cache}, asked {asked}"


def of_panel(cells, after, budget):
    return [c for c in cells if c["after"] == after and (c["budget"] == budget or keeps_all(c))]


def recall_by_depth(cells, colours):
    panels = list(recall_panels(cells))
    columns = len({budget for _, budget, _ in panels})
    rows = len(panels) // columns
    figure, grid = plt.subplots(
        rows, columns, squeeze=False, sharex=True, sharey=True,
        figsize=(1.6 + 3.3 * columns, 0.5 + 2.5 * rows),
    )  # fmt: skip
    looks = {}
    for axes, (after, budget, title) in zip(grid.flat, panels):
        lines = defaultdict(list)
        for cell in of_panel(cells, after, budget):
            lines[cell["policy"]].append((cell["depth"], cell["right"]))
        evicting = [policy for policy in lines if policy in colours]
        for policy, points in lines.items():
            x, y = zip(*points)
            look = {"color": INK, "linestyle": "--"}
            if policy in colours:
                # Side by side, or lines of one height would hide each other.
                shift = 0.01 * (evicting.index(policy) - (len(evicting) - 1) / 2)
                x = [depth + shift for depth in x]
                look = dict(zip(("color", "marker"), colours[policy]))
            (looks[policy],) = axes.plot(x, y, markersize=4.5, linewidth=1.4, **look)
        axes.set_title(title)
        axes.set_xticks(sorted({cell["depth"] for cell in cells}))
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.set_ylim(-0.03, 1.03)
    for axes in grid[-1]:
        axes.set_xlabel("depth in the text")
    for axes in grid[:, 0]:
        axes.set_ylabel("right answers")
    figure.tight_layout()
    figure.legend(looks.values(), looks, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def recall_tables(cells):
    # A run that was stopped may not have asked everything.
    panels = [panel for panel in recall_panels(cells) if of_panel(cells, *panel[:2])]
    columns = [name for name in dict.fromkeys(c["category"] for c in cells) if name != "all"] + ["all"]
    policies = [
        list(dict.fromkeys(cell["policy"] for cell in of_panel(cells, after, budget)))
        for after, budget, _ in panels
    ]
    heights = [len(names) for names in policies]
    figure, grid = plt.subplots(
        len(panels), 1, squeeze=False, height_ratios=heights,
        figsize=(1.6 + 0.85 * len(columns), 0.6 * len(panels) + 0.27 * sum(heights)),
    )  # fmt: skip
    for axes, names, (after, budget, title) in zip(grid[:, 0], policies, panels):
        shares = {(c["policy"], c["category"]): c["right"] for c in of_panel(cells, after, budget)}
        table = [[shares.get((name, column), float("nan")) for column in columns] for name in names]
        heat_map(axes, table, names, columns)
        axes.set_title(title)
    figure.tight_layout()
    return figure


def fidelity_figure(run, name, colours):
    return Figure(
        name,
        f"Divergence from the full cache ({run['model']})",
        f"KL(full || policy) in nats a token by position in the text ({run['text']}), "
        "teacher-forced.",
        lambda: divergence_by_position(run["buckets"], colours),
    )


def divergence_by_position(buckets, colours):
    measured = {bucket["policy"] for bucket in buckets}
    colours = {policy: look for policy, look in colours.items() if policy in measured}
    of_full = [b for b in buckets if keeps_all(b) and b["kl"] > 1e-6]
    budgets = [b for b in dict.fromkeys(bucket["budget"] for bucket in buckets) if b != "full"]
    budgets = budgets or ["full"]
    figure, panels = plt.subplots(
        1, len(budgets), squeeze=False, sharey=True, figsize=(2.2 + 3.1 * len(budgets), 3.8)
    )
    for axes, budget in zip(panels[0], budgets):
        rows = next(bucket["rows"] for bucket in buckets if bucket["budget"] == budget)
        for policy, (colour, marker) in colours.items():
            points = [b for b in buckets if b["budget"] == budget and b["policy"] == policy]
            # Nothing is evicted at first; zero has no place on a logarithmic axis.
            points = [b for b in points if b["kl"] > 1e-6]
            x = [(b["from"] + b["to"]) / 2 for b in points]
            axes.plot(x, [b["kl"] for b in points], color=colour, marker=marker, markersize=4,
                      linewidth=1.4, label=policy)  # fmt: skip
        if of_full:
            axes.plot([(b["from"] + b["to"]) / 2 for b in of_full], [b["kl"] for b in of_full],
                      color=INK, linestyle="--", linewidth=1.2, label="full")  # fmt: skip
        axes.axvline(rows, color=INK, linestyle=":", linewidth=1)
        axes.set_yscale("log")
        axes.set_xlim(left=0)
        axes.set_title(f"budget {budget} ({rows} rows, dotted)" if budget != str(rows)
                       else f"budget {rows} rows (dotted)")  # fmt: skip
        axes.set_xlabel("position in the text")
    panels[0][0].set_ylabel("KL, nats a token")
    panels[0][-1].legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def bench_figure(benches):
    return Figure(
        "speed-and-memory",
        "Speed and memory against depth",
        "Tokens decoded per second, and bytes of the KV cache, by all sequences together. The full "
        "cache's bytes are those of its rows at each depth.",
        lambda: speed_and_memory(benches),
    )


def bench_suffix(bench) -> str:
    """What tells a benchmark from others, behind a name in the legend."""
    sequences = bench.get("sequences", 1)
    return f", {bench['description']}" + (f", {sequences} sequences" if sequences > 1 else "")


def speed_and_memory(benches):
    figure, (speed, memory) = plt.subplots(1, 2, figsize=(9.5, 3.6))
    for index, bench in enumerate(benches):
        depths = [row["depth"] for row in bench["depths"]]
        suffix = bench_suffix(bench) if len(benches) > 1 else ""
        names = (f"full cache{suffix}", f"{bench['policy']}, {bench['budget']} rows{suffix}")
        colour, marker = COLOURS[index % 10], MARKERS[index % 10]
        last = depths[-1] + bench["tokens_per_depth"]
        per_row = bench["plain"]["kv_bytes"] / (-(-last // 256) * 256)  # llama.cpp's padding
        bounded = bench["bounded"]["kv_bytes"] / 2**20
        for key, style, ink, name, sizes in (
            ("plain", "--", INK, names[0], [depth * per_row / 2**20 for depth in depths]),
            ("bounded", "-", colour, names[1], [bounded for _ in depths]),
        ):
            rates = [row[key]["tokens_per_second"] for row in bench["depths"]]
            look = {"color": ink, "linestyle": style, "marker": marker, "markersize": 4, "label": name}
            speed.plot(depths, rates, **look)
            memory.plot(depths, sizes, **look)
    speed.set_ylabel("tokens per second")
    memory.set_ylabel("KV cache, MiB")
    for axes in (speed, memory):
        axes.set_xlabel("depth: tokens in the text")
        axes.set_ylim(bottom=0)
        axes.set_xlim(left=0)
    figure.tight_layout()
    handles, labels = memory.get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", bbox_to_anchor=(0.5, 1), ncol=2)
    return figure
