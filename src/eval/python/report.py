"""Draws the pictures of `vase report` and writes its page.

    report.py DIR < report.json

`vase report` starts it and hands over the numbers; nothing is computed here. Writes DIR/index.html,
one file that needs nothing else, and each picture as DIR/NAME.png.
"""

import json
import pathlib
import sys

try:
    import matplotlib
except ImportError:
    sys.exit(
        "vase report draws with the Python package matplotlib, which "
        f"{sys.executable} does not have: `{sys.executable} -m pip install matplotlib`, "
        "or name another Python with VASE_PYTHON"
    )

matplotlib.use("svg")

import report_figures
import report_page


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    report = json.load(sys.stdin)
    figures = []
    for figure in report_figures.draw_all(report):
        figure.save_png(folder / f"{figure.name}.png")
        figures.append(figure)
        print(folder / f"{figure.name}.png")
    page = folder / "index.html"
    page.write_text(report_page.render(report, figures), encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
