"""The page in a browser, in the words of the tests."""

import json
import os
import shutil
import time
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
# Where screenshots are kept, if anyone wants to look at them.
SCREENSHOTS = os.environ.get("VASE_WEB_SCREENSHOTS")


def start_browser(*more):
    options = Options()
    options.binary_location = CHROMIUM
    for argument in (
        "--headless=new",
        "--no-sandbox",  # root has no sandbox
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        *more,
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=Service(DRIVER))


class Page:
    def __init__(self, driver, url):
        self.driver, self.url = driver, url

    def open(self, settings=None):
        """Loads the page as on a first visit, with these settings."""
        self.driver.get(self.url + "favicon.svg")
        self.run("sessionStorage.clear(); localStorage.clear()")
        if settings:
            self.run("localStorage.setItem('vase.settings', arguments[0])", json.dumps(settings))
        self.driver.get(self.url)
        self.wait("document.querySelector('#server').dataset.state")

    def size(self, width, height, scale=1):
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": False},
        )

    def prefer(self, colours):
        features = [{"name": "prefers-color-scheme", "value": colours}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def value(self, expression):
        return self.run(f"return {expression}")

    def module(self, name, expression):
        """The value of an expression in which `m` is one of the page's modules."""
        result = self.driver.execute_async_script(
            f"const done = arguments[0];"
            f"import('/{name}.js').then((m) => done([({expression})]), (e) => done(String(e)))"
        )
        assert isinstance(result, list), result
        return result[0]

    def wait(self, expression, seconds=10):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = self.value(expression)
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError(f"waited {seconds} s for: {expression}")

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def count(self, selector):
        return len(self.driver.find_elements(By.CSS_SELECTOR, selector))

    def text(self, selector):
        return self.value(f"document.querySelector({selector!r}).textContent")

    def click(self, selector):
        self.find(selector).click()

    def ask(self, question):
        self.find("#prompt").send_keys(question + Keys.ENTER)

    def wait_for_end(self, seconds=10):
        """-> the note under the newest answer"""
        self.wait("!document.querySelector('#send').hidden", seconds)
        return self.value("[...document.querySelectorAll('.message .note')].at(-1).textContent")

    def pixels_of(self, colour, canvas="grid"):
        """How many pixels of the canvas have exactly this colour ([r, g, b])."""
        return self.run(
            """
            const {width, height} = document.getElementById(arguments[1]);
            // A copy: the browser warns of canvases that are often read.
            const context = new OffscreenCanvas(width, height).getContext('2d');
            context.drawImage(document.getElementById(arguments[1]), 0, 0);
            const data = context.getImageData(0, 0, width, height).data;
            let count = 0;
            for (let i = 0; i < data.length; i += 4)
              if (data[i + 3] === 255 && arguments[0].every((c, k) => data[i + k] === c)) ++count;
            return count;
            """,
            colour,
            canvas,
        )

    def screenshot(self, name):
        if SCREENSHOTS:
            Path(SCREENSHOTS).mkdir(parents=True, exist_ok=True)
            self.driver.save_screenshot(str(Path(SCREENSHOTS) / f"{name}.png"))

    def console(self):
        """What the browser complained of since the last call."""
        return [
            entry
            for entry in self.driver.get_log("browser")
            if entry["level"] in ("WARNING", "SEVERE")
        ]
