"""Tables and a plot of what bench/decode_on_gpu.py measured."""

ORDER = ("interval 64", "interval 128", "staggered", "depth", "depth 64k", "equal memory", "14B",
         "14B depth", "1 GPUs", "2 GPUs")  # fmt: skip


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def ratio(depth: dict) -> float:
    """Tokens/s of the bounded cache over plain llama.cpp's."""
    return depth["bounded"]["tokens_per_second"] / depth["plain"]["tokens_per_second"]


def parts_of_overhead(run: dict, depth: dict) -> list[float]:
    """Milliseconds a step that the bounded cache takes longer: in ordinary steps (callback, and
    queries to be copied), by evictions, and by steps that are not ordinary: the first ones of a
    graph, which stop at each layer."""
    plain, bounded, steps = depth["plain"], depth["bounded"], run["tokens_per_depth"]
    ordinary = bounded["median_step_seconds"] - plain["median_step_seconds"]
    eviction = bounded["eviction_seconds"] / steps
    whole = (bounded["seconds"] - plain["seconds"]) / steps
    return [1000 * part for part in (ordinary, eviction, whole - ordinary - eviction)]


def measured(data: dict, names: tuple[str, ...]):
    """(step's name, run, row of one depth), in the order of `names`."""
    for name in names:
        for run in data["steps"].get(name, {"runs": []})["runs"]:
            for depth in run.get("depths", []):
                yield name, run, depth


def overhead_table(data: dict) -> str:
    rows = []
    for name, run, depth in measured(data, ("interval 64", "interval 128", "staggered")):
        parts = [f"{part:.3f}" for part in parts_of_overhead(run, depth)]
        rows.append([f"{run['sequences']}", f"{run['interval']}",
                     "staggered" if run["stagger"] else "together",
                     f"{depth['plain']['tokens_per_second']:,.1f}",
                     f"{depth['bounded']['tokens_per_second']:,.1f}",
                     f"{100 * (1 / ratio(depth) - 1):.1f}%", *parts])  # fmt: skip
    return table(["sequences", "interval", "evict", "plain tok/s", f"{data['policy']} tok/s",
                  "overhead", "ordinary step, ms", "eviction, ms a step", "the rest, ms a step"],
                 rows)  # fmt: skip


def depth_table(data: dict) -> str:
    rows = [
        [f"{depth['depth']:,}", f"{run['sequences']}",
         f"{depth['plain']['tokens_per_second']:,.1f}",
         f"{depth['bounded']['tokens_per_second']:,.1f}", f"{ratio(depth):.2f}"]
        for _, run, depth in measured(data, ("depth", "depth 64k"))
    ]  # fmt: skip
    return table(["depth", "sequences", "full cache tok/s", f"{data['policy']} tok/s", "times faster"], rows)


def equal_memory_table(data: dict) -> str:
    full = [(run, depth) for _, run, depth in measured(data, ("depth",)) if run["sequences"] == 8]
    if not full:
        return "(needs the step `depth`)"
    run, depth = full[-1]
    base = depth["plain"]["tokens_per_second"]

    def row(name, run, kv, speed, depth):
        return [name, f"{run['sequences']}", f"{depth['depth']:,}", f"{kv / 2**30:.1f}",
                f"{speed:,.0f}", f"{speed / base:.2f}"]  # fmt: skip

    rows = [row("full", run, run["plain"]["kv_bytes"], base, depth)]
    for _, run, depth in measured(data, ("equal memory",)):
        name = f"{data['policy']}, budget {run['budget']:,}"
        speed = depth["bounded"]["tokens_per_second"]
        rows.append(row(name, run, run["bounded"]["kv_bytes"], speed, depth))
    return table(["cache", "sequences", "depth", "KV cache, GiB", "tokens/s in all", "times"], rows)


def other_table(data: dict, names: tuple[str, ...]) -> str:
    rows = [
        [name, f"{run['sequences']}", f"{depth['depth']:,}",
         f"{depth['plain']['tokens_per_second']:,.1f}",
         f"{depth['bounded']['tokens_per_second']:,.1f}", f"{ratio(depth):.2f}",
         f"{depth['bounded']['evictions']}"]
        for name, run, depth in measured(data, names)
    ]  # fmt: skip
    return table(["step", "sequences", "depth", "full cache tok/s", f"{data['policy']} tok/s", "times",
                  "evictions"], rows)  # fmt: skip


def flat_table(data: dict) -> str:
    first = None
    rows = []
    for _, run, depth in measured(data, ("flat memory",)):
        grown = depth["gpu_bytes"] - run["gpu_bytes_before_model"]
        first = first or grown
        rows.append([f"{depth['depth']:,}", f"{grown / 2**20:,.0f}",
                     f"{(grown - first) / 2**20:+,.1f}",
                     f"{depth['bounded']['tokens_per_second']:,.1f}"])  # fmt: skip
    return table(["depth", "device memory, MiB", "since the first", f"{data['policy']} tok/s"], rows)


def plan_table(data: dict) -> str:
    """What `vase plan` says lies on the GPU, and what the GPU reports since before the model."""
    rows = []
    for name, step in data["steps"].items():
        for plan in step.get("plans", []):
            plan = plan["bounded"]
            for run in step["runs"]:
                wanted = run.get("depths") and run["sequences"] == plan["sequences"]
                if not wanted or plan["gpu_bytes"] == 0:  # no GPU
                    continue
                real = run["depths"][-1]["gpu_bytes"] - run["gpu_bytes_before_model"]
                rows.append([name, f"{plan['sequences']}",
                             f"{plan['gpu_bytes'] / 2**20:,.0f}", f"{real / 2**20:,.0f}",
                             f"{100 * (real / plan['gpu_bytes'] - 1):+.1f}%",
                             f"{plan['queries_bytes'] / 2**20:,.0f}"])  # fmt: skip
    return table(["step", "sequences", "plan, MiB", "device, MiB", "more",
                  "of the plan for evictions, MiB"], rows)  # fmt: skip


def tables(data: dict) -> str:
    parts = [
        ("Overhead at the same context", overhead_table(data)),
        ("Against the full cache", depth_table(data)),
        ("At equal KV memory", equal_memory_table(data)),
        ("14B", other_table(data, ("14B", "14B depth"))),
        ("Device memory along one text", flat_table(data)),
        ("The plan against the device", plan_table(data)),
        ("Layers over two GPUs", other_table(data, ("1 GPUs", "2 GPUs"))),
    ]
    text = "\n\n".join(f"### {title}\n\n{body}" for title, body in parts if body.count("\n") > 1)
    failed = [f"{name}: {s['error']}" for name, s in data["steps"].items() if s["error"]]
    commands = [f"- {name}: `{s['command']}`, {s['seconds']} s" for name, s in data["steps"].items()]
    return "\n".join([f"Device: {data['device']}", "", text, "", *commands, *failed])


def plot(data: dict, path: str):
    """Tokens/s against depth."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    counts = sorted({run["sequences"] for _, run, _ in measured(data, ("depth", "depth 64k"))})
    figure, panels = plt.subplots(1, max(1, len(counts)), figsize=(4.6 * max(1, len(counts)), 3.4),
                                  squeeze=False)  # fmt: skip
    for axes, count in zip(panels[0], counts):
        rows = sorted(
            (depth["depth"], depth["plain"]["tokens_per_second"],
             depth["bounded"]["tokens_per_second"])
            for _, run, depth in measured(data, ("depth", "depth 64k"))
            if run["sequences"] == count
        )  # fmt: skip
        depths, full, bounded = zip(*rows)
        axes.plot(depths, full, "k--s", markersize=4, label="full cache")
        axes.plot(depths, bounded, "C0-o", markersize=4, label=f"{data['policy']}, budget 4,096")
        axes.set_title(f"{count} sequence{'s' if count > 1 else ''}", fontsize=10)
        axes.set_xlabel("depth: tokens in the text")
        axes.set_ylabel("tokens per second, all sequences")
        axes.set_ylim(bottom=0)
        axes.set_xlim(left=0)
        axes.legend(loc="lower left", frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
