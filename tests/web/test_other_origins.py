"""Pages of other origins in a real browser, against the real server.

What is sent is what the official `openai` client for JavaScript sends from a page (no package registry in reach of the tests
has it): its requests carry headers of its own, for which the browser asks the server first.
"""

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "server"))

pytestmark = pytest.mark.skipif("VASE_PROGRAM" not in os.environ, reason="VASE_PROGRAM names no server")

# Those of openai-node 7.5.0 in a browser (src/client.ts, src/internal/detect-platform.ts).
CLIENT_HEADERS = {
    "Accept": "application/json",
    "Content-Type": "application/json",
    "Authorization": "Bearer none",
    "X-Stainless-Retry-Count": "0",
    "X-Stainless-Timeout": "600",
    "X-Stainless-Lang": "js",
    "X-Stainless-Package-Version": "7.5.0",
    "X-Stainless-OS": "Unknown",
    "X-Stainless-Arch": "unknown",
    "X-Stainless-Runtime": "browser:chrome",
    "X-Stainless-Runtime-Version": "156.0.0",
    "X-Stainless-Helper-Method": "stream",
    "OpenAI-Organization": "none",
    "OpenAI-Project": "none",
}
ASK = """
    const [url, headers, body, done] = arguments;
    fetch(url, {method: 'POST', headers, body: JSON.stringify(body)}).then(
        async (r) => done([r.status, r.headers.get('Retry-After'), await r.text()]),
        (e) => done([0, null, String(e)]));
"""


class EmptyPage(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<title>another site</title>")

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def other_site():
    site = ThreadingHTTPServer(("127.0.0.1", 0), EmptyPage)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{site.server_port}"
    site.shutdown()


@pytest.fixture(scope="module")
def start_vase(tmp_path_factory):
    from vase_server import Server, write_model

    model = write_model(tmp_path_factory.mktemp("models") / "tiny.gguf")
    running = []

    def start(*options):
        running.append(Server(model, "--budget", 128, *options))
        return running[-1]

    yield start
    for server in running:
        server.stop()


def ask(browser, vase, **fields):
    body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5, "ignore_eos": True, **fields}
    return browser.execute_async_script(ASK, vase.url + "/v1/chat/completions", CLIENT_HEADERS, body)


def test_a_page_of_the_allowed_origin_can_ask(browser, other_site, start_vase):
    vase = start_vase("--cors-origin", other_site, "--parallel", 1, "--queue", 0)
    browser.get(other_site)
    status, _, text = ask(browser, vase)
    assert status == 200, text
    assert json.loads(text)["usage"]["completion_tokens"] == 5
    # And a streamed answer.
    status, _, text = ask(browser, vase, stream=True)
    assert status == 200 and text.endswith("data: [DONE]\n\n")
    # And it can read when to try again.
    connection, response = vase.open_stream(max_tokens=30000)
    status, retry_after, text = ask(browser, vase)
    assert (status, int(retry_after) > 0) == (429, True), text
    connection.close()


def test_a_page_of_another_origin_cannot(browser, other_site, start_vase):
    vase = start_vase("--cors-origin", "http://good.example")
    browser.get(other_site)
    status, _, text = ask(browser, vase)
    assert status == 0 and "Failed to fetch" in text
    assert vase.metric("vase_requests_accepted_total") == 0
    browser.get_log("browser")  # of which the browser complains


def test_a_page_cannot_ask_under_a_name_that_it_made_resolve_to_this_machine(start_vase):
    """DNS rebinding: for the browser the server then belongs to the page's own site."""
    page = pytest.importorskip("page")
    if not (page.CHROMIUM and page.DRIVER):
        pytest.skip("chromium and chromedriver are not installed")
    vase = start_vase()
    allowing = start_vase("--allowed-host", "evil.example")
    browser = page.start_browser("--host-resolver-rules=MAP evil.example 127.0.0.1")
    try:
        browser.get(f"http://evil.example:{vase.port}/vase/status")
        answer = json.loads(browser.execute_script("return document.body.textContent"))
        assert answer["error"]["code"] == "unknown_host"
        # That it would have got there is shown by a server that allows it.
        browser.get(f"http://evil.example:{allowing.port}/vase/status")
        assert json.loads(browser.execute_script("return document.body.textContent"))["slots"]
    finally:
        browser.quit()
