"""Answers the endpoints that the page uses, the same way each time. Run it to look at the page:

    python tests/web/mock_server.py [PORT]

The last user message chooses the answer, see `answer`.
"""

import json
import sys
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from mock_cache import HeadCache

WEB = Path(__file__).resolve().parents[2] / "web"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}
MIB = 2**20
LAYERS, HEADS, INTERVAL, PROMPT = 30, 3, 64, 24

POLICIES = [
    {"name": name, "summary": f"keeps what {name} keeps", "ablation": ablation, "offered": offered}
    for name, ablation, offered in (
        ("snapkv", False, True),
        ("one-more", False, True),
        ("full", False, False),
        ("half-of-it", True, True),
    )
]

HOSTILE = (
    "<img src=x onerror=\"document.title='broken'\"> <b>bold?</b> **<i>really</i>**\n\n"
    "```html\n<script>document.title='broken'</script>\n```\n\n- `<u>item</u>`\n- &lt;two&gt;"
)
MARKDOWN = (
    "The sum is **12**, by `7 + 5`.\n\n1. Add the tens.\n2. Add the ones:\n   - first `7`\n"
    "   - then `5`\n\n```python\nprint(7 + 5)\n```\n\nDone."
)


class Slot:
    def __init__(self, number, budget):
        self.number, self.budget = number, budget
        self.reset()

    def reset(self):
        self.state, self.tokens, self.generated, self.speed = "idle", 0, 0, 0.0
        self.heads = {}

    def head(self, layer, head):
        key = layer, head
        if key not in self.heads or self.heads[key].tokens > self.tokens:
            self.heads[key] = HeadCache(layer, head, self.budget, INTERVAL, PROMPT)
        self.heads[key].advance(self.tokens)
        return self.heads[key]

    def status(self):
        head = self.head(0, 0)
        return {
            "id": self.number,
            "busy": self.state != "idle",
            "state": self.state,
            "tokens": self.tokens,
            "generated": self.generated,
            "rows": len(head.rows),
            "budget": self.budget,
            "capacity": self.budget + INTERVAL,
            "evictions": head.evictions,
            "tokens_per_second": self.speed,
            "policy": "vase",
        }


class Mock(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port=0, budget=256):
        super().__init__(("127.0.0.1", port), Handler)
        self.lock = threading.Lock()
        self.slots = [Slot(0, budget), Slot(1, budget)]
        self.key = ""
        self.delay = 0.002  # seconds a token
        self.requests = []  # bodies of the chat requests
        self.cancelled = 0
        self.layers = LAYERS
        self.watch_only = False  # as inside another program
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/"

    def reset(self):
        with self.lock:
            for slot in self.slots:
                slot.reset()
        self.key, self.delay, self.cancelled, self.layers = "", 0.002, 0, LAYERS
        self.watch_only = False
        self.requests.clear()

    def fill(self, tokens, slot=0):
        """As if a request had left the slot this long."""
        with self.lock:
            self.slots[slot].tokens = tokens

    def handle_error(self, request, client_address):
        """A page that leaves is no error."""


def answer(question):
    """-> (reasoning, answer, finish reason)"""
    if "hostile" in question:
        return HOSTILE, HOSTILE, "stop"
    if "markdown" in question:
        return "A list and code are wanted.", MARKDOWN, "stop"
    if "endless" in question:
        return "I keep thinking about it. " * 4000, "Done.", "stop"
    if "long" in question:
        return "Let me go over this step again, slowly. " * 40, "The answer is **42**.", "stop"
    return "The user asks something.\nA short answer will do.", "The answer is **42**.", "stop"


def pieces(text):
    """Words with their spaces, as a tokeniser might cut them."""
    first, *others = text.split(" ")
    return [first, *(f" {word}" for word in others)]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        url = urlsplit(self.path)
        if url.path in ("/vase/status", "/vase/policies", "/vase/cache", "/v1/models") and not self.allowed():
            return
        if url.path == "/vase/status":
            self.send_json(self.status())
        elif url.path == "/vase/policies":
            self.send_json({"policies": POLICIES})
        elif url.path == "/vase/cache":
            asked = {name: int(values[0]) for name, values in parse_qs(url.query).items()}
            with self.server.lock:
                head = self.server.slots[asked["slot"]].head(asked["layer"], asked["head"])
                self.send_json({"slot": asked["slot"], **head.report()})
        elif url.path == "/v1/models":
            self.send_json({"object": "list", "data": [{"id": "mock", "object": "model"}]})
        else:
            self.send_file("index.html" if url.path == "/" else url.path[1:])

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.allowed():
            return
        self.server.requests.append(body)
        question = body["messages"][-1]["content"]
        if "queue" in question:
            self.send_error_json(429, "the queue is full", {"Retry-After": "7"})
        elif body.get("vase", {}).get("budget", 0) > self.server.slots[0].budget:
            self.send_error_json(400, "vase.budget: 9999 is above the server's 256.")
        else:
            self.stream(question)

    def allowed(self):
        if not self.server.key or self.headers["Authorization"] == f"Bearer {self.server.key}":
            return True
        self.send_error_json(401, "missing or wrong API key")
        return False

    def stream(self, question):
        slot = self.server.slots[0]
        with self.server.lock:
            slot.reset()
            slot.state, slot.tokens, slot.speed = "generating", PROMPT, 41.5
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        reasoning, content, reason = answer(question)
        try:
            self.send_event({"choices": [{"index": 0, "delta": {"role": "assistant"}}]})
            for field, text in (("reasoning_content", reasoning), ("content", content)):
                for piece in pieces(text):
                    self.send_event({"choices": [{"index": 0, "delta": {field: piece}}]})
                    with self.server.lock:
                        slot.tokens += 1
                        slot.generated += 1
                    if "breaks" in question and slot.generated == 5:
                        return
                    time.sleep(self.server.delay)
            thought = len(pieces(reasoning))
            usage = {
                "prompt_tokens": PROMPT,
                "completion_tokens": slot.generated,
                "total_tokens": slot.tokens,
                "completion_tokens_details": {"reasoning_tokens": thought},
            }
            vase = {
                "policy": "vase",
                "budget": slot.budget,
                "evictions": slot.head(0, 0).evictions,
                "choices": [{"index": 0, "generate_seconds": slot.generated / slot.speed}],
            }
            self.send_event({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
            self.send_event({"choices": [], "usage": usage, "vase": vase})
            self.wfile.write(b"data: [DONE]\n\n")
        except OSError:
            self.server.cancelled += 1
        finally:
            with self.server.lock:
                slot.state = "idle"

    def send_event(self, event):
        self.wfile.write(b"data: " + json.dumps(event).encode() + b"\n\n")

    def status(self):
        with self.server.lock:
            slots = [slot.status() for slot in self.server.slots]
        tokens = max(slot["tokens"] for slot in slots)
        status = {
            "model": "mock-135M.Q4_1.gguf",
            "policy": "vase",
            "layers": self.server.layers,
            "heads": HEADS,
            "slots": slots,
            "memory": {
                "weights": 94 * MIB,
                "kv": 15 * MIB,
                "queries": 6 * MIB,
                "compute": 38 * MIB,
                "total": 153 * MIB,
                "resident": 171 * MIB,
                "full_cache": tokens * LAYERS * HEADS * 64 * 2 * 2,
            },
            "prompt_cache": {"bytes": 5 * MIB, "limit": 30 * MIB, "entries": 3},
            "uptime": 754.0,
            "queue": 0,
        }
        if self.server.watch_only:
            status["chat"] = False
            del status["prompt_cache"]
            for planned in ("compute", "total"):
                del status["memory"][planned]
        return status

    def send_file(self, name):
        path = WEB / name
        if "/" in name or path.suffix not in TYPES or not path.is_file():
            self.send_error_json(404, "no such page")
            return
        self.send_bytes(200, path.read_bytes(), TYPES[path.suffix])

    def send_json(self, value):
        self.send_bytes(200, json.dumps(value).encode(), "application/json")

    def send_error_json(self, status, message, headers=()):
        body = json.dumps({"error": {"message": message, "code": status}}).encode()
        self.send_bytes(status, body, "application/json", dict(headers))

    def send_bytes(self, status, body, kind, headers=None):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    mock = Mock(int(sys.argv[1]) if len(sys.argv) > 1 else 8088)
    mock.delay = 0.02
    print(mock.url, flush=True)
    threading.Event().wait()
