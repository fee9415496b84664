"""Clients that hold conversations with a server, some of whose answers they do not wait for, and what came of each request."""

import http.client
import json
import random
import threading
import time
from dataclasses import dataclass, field

JSON = {"Content-Type": "application/json"}
TAIL = 32  # tokens of a prompt's end, at most, that the next turn has otherwise: what opens the answer
RETRIES = 20


class Lost(Exception):
    """The answer did not come whole."""


@dataclass
class Attempt:
    began: float
    ended: float
    replica: str  # "": it had not answered yet
    lost: str = ""  # why; "": it was not


@dataclass
class Outcome:
    """Of one request: what its client got in the end, after as many attempts as it took."""

    kind: str  # "completed", "cancelled", "given up"
    attempts: list = field(default_factory=list)
    id: str = ""
    follows: bool = False  # a turn whose conversation has been answered before
    hit: bool = False

    @property
    def began(self):
        return self.attempts[0].began


@dataclass
class Conversation:
    messages: list
    prompt_tokens: int = 0


class Client(threading.Thread):
    """Has its conversations by turns, one request at a time."""

    def __init__(self, port, conversations, seed, next_number, cancels=0.1):
        super().__init__(daemon=True)
        self.port, self.next_number, self.cancels = port, next_number, cancels
        self.chance = random.Random(seed)
        self.conversations = [Conversation([{"role": "user", "content": self.words(60)}]) for _ in range(conversations)]
        self.outcomes = []

    def words(self, letters):
        return "".join(self.chance.choices("abcdefgh ", k=letters))

    def run(self):
        while self.next_number() is not None:
            self.outcomes.append(self.turn(self.chance.choice(self.conversations)))

    def turn(self, conversation):
        body = {"messages": conversation.messages, "ignore_eos": True, "max_tokens": self.chance.randint(1, 8), "temperature": 0}
        cancelled = self.chance.random() < self.cancels
        if cancelled:
            body |= {"max_tokens": 3000}
        if cancelled or self.chance.random() < 0.5:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        outcome = Outcome("given up", follows=conversation.prompt_tokens > 0)
        for number in range(RETRIES):
            attempt = Attempt(time.monotonic(), 0, "")
            outcome.attempts.append(attempt)
            try:
                answer = self.ask(body, attempt, cancelled)
            except (OSError, http.client.HTTPException, ValueError, Lost) as error:
                attempt.lost = f"{type(error).__name__}: {error}"
                time.sleep(0.1 * min(number + 1, 5))
                continue
            finally:
                attempt.ended = time.monotonic()
            if answer is None:
                outcome.kind = "cancelled"
            else:
                outcome.kind = "completed"
                self.note(conversation, outcome, answer)
            break
        return outcome

    def note(self, conversation, outcome, answer):
        outcome.id = answer["id"]
        usage = answer["usage"]
        outcome.hit = usage["prompt_tokens_details"]["cached_tokens"] >= conversation.prompt_tokens - TAIL
        conversation.prompt_tokens = usage["prompt_tokens"]
        conversation.messages = [*conversation.messages, {"role": "assistant", "content": answer["text"]},
                                 {"role": "user", "content": self.words(30)}]

    def ask(self, body, attempt, cancelled):
        """Id, text and usage of the answer; None if it was cancelled."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("POST", "/v1/chat/completions", json.dumps(body), JSON)
            response = connection.getresponse()
            attempt.replica = response.getheader("x-vase-replica", "")
            if response.status != 200:
                raise Lost(f"{response.status} {response.read().decode()[:200]}")
            if cancelled:
                response.readline()
                return None
            if not body.get("stream"):
                answer = json.loads(response.read())
                return {"id": answer["id"], "text": answer["choices"][0]["message"]["content"], "usage": answer["usage"]}
            return self.whole(response.read().decode())
        finally:
            connection.close()

    @staticmethod
    def whole(text):
        events = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
        if not events or events[-1] != "[DONE]":
            raise Lost(f"a stream ended with {events[-1][:200] if events else 'nothing'}")
        chunks = [json.loads(event) for event in events[:-1]]
        said = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
        return {"id": chunks[0]["id"], "text": said, "usage": next(chunk["usage"] for chunk in reversed(chunks) if chunk.get("usage"))}


class Load:
    """So many requests of so many clients."""

    def __init__(self, port, requests, clients, conversations):
        self.requests, self.begun, self.lock = requests, 0, threading.Lock()
        self.clients = [Client(port, conversations // clients, 100 + seed, self.next_number) for seed in range(clients)]

    def next_number(self):
        with self.lock:
            if self.begun >= self.requests:
                return None
            self.begun += 1
            return self.begun

    def run(self, meanwhile=None, when=0):
        """The outcomes of all requests. `meanwhile` is called, here, when so many have been sent."""
        for client in self.clients:
            client.start()
        while meanwhile and self.begun < when:
            time.sleep(0.01)
        if meanwhile:
            meanwhile()
        for client in self.clients:
            client.join()
        return [outcome for client in self.clients for outcome in client.outcomes]


def hits(outcomes):
    """The share of turns behind an answered one whose server did not read again what it, or another one, had read."""
    following = [outcome for outcome in outcomes if outcome.follows and outcome.kind == "completed"]
    return sum(outcome.hit for outcome in following) / len(following)
