"""The page in a headless Chromium.

VASE_WEB_URL names a running server to test instead of the mock.
"""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

URL = os.environ.get("VASE_WEB_URL")


@pytest.fixture(scope="session")
def server():
    from mock_server import Mock

    if URL:
        yield None
    else:
        mock = Mock()
        yield mock
        mock.shutdown()


@pytest.fixture(scope="session")
def url(server):
    return URL.rstrip("/") + "/" if URL else server.url


@pytest.fixture
def mock(server):
    """For tests that need known answers."""
    if server is None:
        pytest.skip("needs the mock server, VASE_WEB_URL names another")
    return server


@pytest.fixture(scope="session")
def browser():
    pytest.importorskip("selenium", reason="selenium is not installed")
    import page

    if not (page.CHROMIUM and page.DRIVER):
        pytest.skip("chromium and chromedriver are not installed")
    driver = page.start_browser()
    driver.set_script_timeout(20)
    yield driver
    driver.quit()


@pytest.fixture
def page(browser, server, url):
    """The page, freshly opened. It may leave nothing on the browser's console."""
    from page import Page

    if server:
        server.reset()
    page = Page(browser, url)
    page.size(1280, 860)
    page.prefer("light")
    page.open(settings={"max_tokens": 400})
    page.console()
    yield page
    assert page.console() == []
