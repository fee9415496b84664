"""The observatory: what it draws is what the server says, for any length, size and theme."""

import json
import re
import urllib.request

import pytest
from selenium.webdriver.common.keys import Keys

REASONS = ["sink", "pinned", "protected", "drawn", "recent"]


def legend(page):
    """-> {reason: count} as shown"""
    shown = page.value(
        "[...document.querySelectorAll('#reasons button')].map("
        "(b) => [b.dataset.reason, Number(b.querySelector('b').textContent.replace(',', ''))])"
    )
    return dict(shown)


def reason_colours(page):
    """-> {reason: [r, g, b]} of the legend's swatches"""
    shown = page.value(
        "[...document.querySelectorAll('#reasons i')].map("
        "(swatch) => getComputedStyle(swatch).backgroundColor)"
    )
    return dict(zip(REASONS, map(channels, shown), strict=True))


def channels(colour):
    return [int(n) for n in re.findall(r"\d+", colour)]


def show_tokens(page, mock, tokens):
    mock.fill(tokens)
    page.run("document.querySelector('#slot').dispatchEvent(new Event('input'))")
    page.wait(f"document.querySelector('#n-tokens').textContent === '{tokens:,}'")
    page.wait(f"document.querySelector('#grid').ariaValueMax === '{tokens - 1}'")


def get(page, path):
    with urllib.request.urlopen(page.url + path) as response:
        return json.load(response)


def test_generation_evicts(page):
    page.open(settings={"max_tokens": 700, "temperature": 1, "seed": 1, "budget": 192})
    page.ask("Write a long story about a long journey.")
    page.wait("Number(document.querySelector('#n-evictions').textContent) > 0", 90)
    page.run("document.querySelector('#stop').click()")
    page.wait_for_end()
    page.wait("document.querySelector('#fill-words').textContent.endsWith('idle')")
    page.wait("document.querySelector('#point').textContent.includes('survive')")
    cache = get(page, "vase/cache?slot=0&layer=0&head=0")
    assert sum(legend(page).values()) == cache["rows"] < cache["tokens"]
    colours = reason_colours(page)
    assert all(page.pixels_of(colours[r]) > 0 for r, n in legend(page).items() if n)
    page.screenshot("generation")


def test_the_picture_shows_the_servers_rows(page, mock):
    show_tokens(page, mock, 900)
    cache = get(page, "vase/cache?slot=0&layer=0&head=0")
    counts = {reason: cache["reasons"].count(reason) for reason in REASONS}
    assert min(counts.values()) > 0
    assert legend(page) == counts
    colours = reason_colours(page)
    area = page.pixels_of(colours["sink"]) / 4
    for reason, many in counts.items():
        assert page.pixels_of(colours[reason]) == many * area, reason
    assert page.pixels_of(colours["recent"], "profile") > 0


def test_evicted_rows_fade_and_are_gone(page, mock):
    page.run("document.querySelector('#slot').value = '0'")
    show_tokens(page, mock, 319)
    colours = reason_colours(page)
    show_tokens(page, mock, 321)
    page.wait("document.querySelector('#n-evictions').textContent === '1'")
    counts = legend(page)
    assert sum(counts.values()) == 257
    area = page.pixels_of(colours["sink"]) / 4
    # Half faded pixels have neither colour; when the fade is over nothing of it is left.
    page.driver.execute_async_script("setTimeout(arguments[0], 1100)")
    for reason, many in counts.items():
        assert page.pixels_of(colours[reason]) == many * area, reason


def test_other_layers_heads_and_slots(page, mock):
    show_tokens(page, mock, 900)
    first = page.value("document.querySelector('#grid').toDataURL()")
    page.find("#layer").send_keys(Keys.ARROW_RIGHT * 3)
    page.find("#head").send_keys(Keys.ARROW_RIGHT)
    page.wait(f"document.querySelector('#grid').toDataURL() !== '{first}'")
    assert page.text("#layer-value") == "3 / 29"
    assert page.text("#head-value") == "1 / 2"
    page.find("#slot").send_keys("1")
    page.wait("document.querySelector('#n-tokens').textContent === '0'")
    page.wait("!document.querySelector('#empty').hidden")


def test_pointing_at_a_position(page, mock):
    show_tokens(page, mock, 900)
    cache = get(page, "vase/cache?slot=0&layer=0&head=0")
    page.click("#grid")
    grid = page.find("#grid")
    grid.send_keys(Keys.HOME)
    said = "document.querySelector('#grid').getAttribute('aria-valuetext')"
    assert page.value(said).startswith("Position 0: kept, sink")
    assert page.text("#point") == page.value(said)
    grid.send_keys(Keys.ARROW_RIGHT * 30)
    kept = 30 in cache["positions"]
    assert page.value(said).startswith(f"Position 30: {'kept' if kept else 'evicted'}")
    grid.send_keys(Keys.END)
    assert page.value(said).startswith("Position 899: kept, recent")
    assert not page.value("document.querySelector('#cursor').hidden")
    grid.send_keys(Keys.TAB)
    assert page.value("document.querySelector('#cursor').hidden")


def test_one_reason_alone(page, mock):
    show_tokens(page, mock, 900)
    colours = reason_colours(page)
    before = page.pixels_of(colours["drawn"])
    page.click("[data-reason=drawn]")
    assert page.pixels_of(colours["drawn"]) == before
    assert page.pixels_of(colours["protected"]) == 0
    page.click("[data-reason=drawn]")
    assert page.pixels_of(colours["protected"]) > 0


def test_colour_by_range(page, mock):
    show_tokens(page, mock, 900)
    drawn = reason_colours(page)["drawn"]
    page.run("document.querySelector('input[value=range]').click()")
    assert page.pixels_of(drawn) == 0
    assert page.pixels_of(channels(page.module("palette", "m.rampColours().at(-1)"))) > 0
    assert page.text("#ramp-high").endswith("and more")
    page.screenshot("range")


def test_numbers_in_words(page, mock):
    show_tokens(page, mock, 20_000)
    assert page.text("#fill-words").startswith("Slot 0: 288 of 320 rows a head, budget 256, ")
    assert page.text("#memory-now-words") == "21.0 MiB"
    page.wait("document.querySelector('#memory-full-words').textContent === '439 MiB'")
    assert "20.9 times as much" in page.text("#memory-words")
    assert "3 prompts put aside take 5.0 MiB of at most 30.0 MiB." in page.text("#memory-words")


@pytest.mark.parametrize("kept", [4096, 100_000])
def test_a_hundred_thousand_positions_draw_fast(page, mock, kept):
    elapsed = page.module(
        "grid",
        f"""(() => {{
          const canvas = document.createElement('canvas');
          canvas.style.cssText = 'width: 900px; height: 500px; position: absolute';
          document.body.append(canvas);
          const positions = Array.from({{length: {kept}}}, (_, i) => i * {100_000 // kept});
          const cache = {{tokens: 100000, evictions: 1, positions,
            ranges: positions.map((p) => p % 97), reasons: positions.map(() => 'drawn')}};
          const grid = new m.Grid(canvas, document.createElement('i'), () => {{}});
          const began = performance.now();
          grid.show(cache, false);
          canvas.getContext('2d').getImageData(0, 0, 1, 1);
          const elapsed = performance.now() - began;
          canvas.remove();
          return elapsed;
        }})()""",
    )
    assert elapsed < 500, f"{elapsed} ms"


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_light_and_dark(page, mock, colours):
    page.prefer(colours)
    page.ask("Think long, in markdown.")
    page.wait_for_end()
    show_tokens(page, mock, 1500)
    page.screenshot(colours)
    background = page.value("getComputedStyle(document.documentElement).backgroundColor")
    brightness = sum(channels(background)) / 3
    assert brightness < 60 if colours == "dark" else brightness > 220
    assert page.pixels_of(reason_colours(page)["drawn"]) > 0


def test_the_switch_overrides_the_system(page):
    dark = "getComputedStyle(document.documentElement).colorScheme === 'dark'"
    page.click("#theme")
    page.click("#theme")
    assert page.value(dark)
    page.driver.refresh()
    assert page.value(dark)
    page.click("#theme")
    assert not page.value(dark)


def test_narrow(page, mock):
    page.size(360, 700, scale=2)
    page.ask("Use markdown.")
    page.wait_for_end()
    page.screenshot("narrow-chat")
    fits = "document.documentElement.scrollWidth <= 360"
    assert page.value(fits)
    assert not page.find("#observatory").is_displayed()
    page.find("#tab-chat").send_keys(Keys.ARROW_RIGHT)
    assert page.find("#observatory").is_displayed() and not page.find("#chat").is_displayed()
    show_tokens(page, mock, 700)
    page.wait(
        "(({width, clientWidth}) => width === 2 * clientWidth)(document.querySelector('#grid'))"
    )
    assert page.pixels_of(reason_colours(page)["recent"]) > 0
    assert page.value(fits)
    assert page.value("document.querySelector('#observatory').scrollWidth <= 360")
    page.screenshot("narrow-cache")


def test_a_server_that_never_evicts(page, mock):
    mock.layers = 0
    page.open()
    page.wait("document.querySelector('#empty').textContent.includes('keeps every row')")


def test_the_tab_may_be_hidden_while_rows_go(page, mock):
    """A canvas without a size has no cells to compare with."""
    page.size(360, 700)
    page.ask("Think long.")
    page.wait_for_end()
    assert page.text("#server").startswith("mock")


@pytest.mark.parametrize("width", [1200, 420])
def test_inside_another_program_there_is_only_the_cache(page, mock, width):
    mock.watch_only = True
    mock.fill(500)
    page.size(width, 900)
    page.open()
    page.wait("document.querySelector('#n-tokens').textContent === '500'")
    shown = "(id) => document.querySelector(id).checkVisibility()"
    assert page.value(f"['#observatory', '#grid', '#theme'].every({shown})")
    assert not page.value(f"['#chat', '#composer', '.tabs', '#open-settings'].some({shown})")
    assert "plan" not in page.value("document.querySelector('#memory-words').textContent")
