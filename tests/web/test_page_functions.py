"""The page's pure functions, run where they will run."""

import json
from itertools import pairwise

import pytest


@pytest.fixture(scope="module")
def page(browser, url):
    """Opened once: these tests leave nothing behind."""
    from page import Page

    page = Page(browser, url)
    page.open()
    return page


def feed(page, *pieces):
    parse = "((parser) => pieces.map((text) => parser.push(text)))(new m.SseParser())"
    return page.module("sse", parse.replace("pieces", json.dumps(pieces)))


def test_events_in_pieces(page):
    assert feed(page, "data: a\n\ndata: b\n", "\n") == [["a"], ["b"]]
    assert feed(page, "da", 'ta: {"x"', ":1}\n", "\ndata:y\n\n") == [[], [], [], ['{"x":1}', "y"]]


def test_events_with_any_line_end(page):
    assert feed(page, "data: a\r\n\r\ndata: b\r\n\r\n") == [["a", "b"]]
    assert feed(page, "data: a\r", "\n\r", "\ndata: b\r\r", "x") == [[], [], ["a"], ["b"]]


def test_events_of_several_lines_and_comments(page):
    assert feed(page, ": ping\n\nevent: x\ndata: a\ndata: b\nid: 1\n\n") == [["a\nb"]]


def test_letters_cut_in_two(page):
    result = page.driver.execute_async_script(
        """
        const done = arguments[0];
        const bytes = new TextEncoder().encode('data: \\u00fc\\u{1f3fa}\\n\\n');
        const body = new ReadableStream({start(c) {
          for (const byte of bytes) c.enqueue(new Uint8Array([byte]));
          c.close();
        }});
        import('/sse.js').then(async (m) => {
          const events = [];
          for await (const event of m.readEvents(body)) events.push(event);
          done(events);
        });
        """
    )
    assert result == ["ü🏺"]


def kinds(page, text):
    lines = json.dumps(text.split("\n"))
    return page.module("markdown", f"m.parseBlocks({lines}).map((block) => block.kind)")


def test_markdown_blocks(page):
    assert kinds(page, "a\nb\n\nc") == ["paragraph", "paragraph"]
    assert kinds(page, "a\n```\n- x\n\n# y\n```\nb") == ["paragraph", "code", "paragraph"]
    assert kinds(page, "```\nunclosed") == ["code"]
    assert kinds(page, "# h\ntext\n- a\n- b\n\n1. c") == ["heading", "paragraph", "list", "list"]
    assert kinds(page, "- a\n\n  still a\n- b\n\nafter") == ["list", "paragraph"]
    assert kinds(page, "") == []


def test_markdown_of_lone_marks_is_quick(page):
    elapsed = page.module(
        "markdown",
        """(() => {
          const view = new m.MarkdownView(document.createElement('div'));
          const began = performance.now();
          view.update('**a '.repeat(20000) + '`'.repeat(1000) + '* x'.repeat(20000));
          return performance.now() - began;
        })()""",
    )
    assert elapsed < 3000, f"{elapsed} ms"


def layout(page, tokens, width=600, height=300):
    sizes = [16, 14, 12, 10, 9, 8, 7, 6, 5, 4, 3]
    return page.module("aggregate", f"m.gridLayout({tokens}, {width}, {height}, {sizes})")


@pytest.mark.parametrize("tokens", [1, 64, 1000, 20_000, 100_000, 1_000_000])
def test_a_grid_holds_the_sequence(page, tokens):
    grid = layout(page, tokens)
    rows = -(-tokens // (grid["perCell"] * grid["columns"]))
    assert rows * grid["size"] <= 300
    assert grid["columns"] * grid["size"] <= 600
    assert grid["columns"] % 10 == 0


def test_a_grid_stays_while_it_can(page):
    shapes = [layout(page, tokens) for tokens in range(1, 400, 50)]
    assert all(shape == shapes[0] for shape in shapes)


def test_aggregation(page):
    cache = {
        "tokens": 10,
        "positions": [0, 1, 4, 9],
        "ranges": [None, 2.0, 5.0, 1.0],
        "reasons": ["sink", "drawn", "protected", "recent"],
    }
    cells = page.module(
        "aggregate",
        f"(({{kept, range, reason}}) => [[...kept], [...range].map(String), [...reason]])"
        f"(m.aggregate({json.dumps(cache)}, 5, 2))",
    )
    assert cells == [
        [2, 0, 1, 0, 1],
        ["Infinity", "NaN", "5", "NaN", "1"],
        [0, -1, 2, -1, 4],
    ]


@pytest.mark.parametrize("tokens", [1, 5, 99, 100, 101, 150, 100_000])
def test_the_profile_counts_each_row_once(page, tokens):
    cache = {"tokens": tokens, "positions": list(range(tokens)), "reasons": ["drawn"] * tokens}
    counts, columns, per_column = page.module(
        "aggregate",
        f"(({{counts, columns, perColumn}}) => [[...counts[3]], columns, perColumn])"
        f"(m.profile({json.dumps(cache)}, 100))",
    )
    assert sum(counts) == tokens
    assert len(counts) == columns <= 100
    assert all(count == per_column for count in counts[:-1])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_differ_in_lightness(page, theme):
    """What tells them apart must survive in grey."""
    page.prefer(theme)
    reasons, ramp = page.module(
        "palette",
        "[['sink', 'pinned', 'protected', 'drawn', 'recent'].map(m.reasonColour), m.rampStops()]",
    )
    away_from_page = -1 if theme == "light" else 1
    assert all(-away_from_page * step > 8 for step in steps_of(reasons))
    assert all(away_from_page * step > 7 for step in steps_of(ramp))


def steps_of(colours):
    return [lightness(b) - lightness(a) for a, b in pairwise(colours)]


def lightness(colour):
    """CIE L*, 0 to 100."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 116 * (0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]) ** (1 / 3) - 16
