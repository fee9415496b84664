"""Which replica a conversation belongs to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TypeVar

Replica = TypeVar("Replica")

_HEAD = 256  # characters of a text that is to be continued


def conversation_key(body: bytes) -> str:
    """What the requests of one conversation have in common: `prompt_cache_key` if they say one, else the messages up to the first
    one of the user, or the first characters of the prompt. "" if the body says none of these; then any replica will do."""
    try:
        request = json.loads(body)
    except ValueError:
        return ""
    if not isinstance(request, dict):
        return ""
    if isinstance(named := request.get("prompt_cache_key"), str) and named:
        return named
    if isinstance(messages := request.get("messages"), list) and messages:
        return _text(_first_turn(messages))
    prompt = request.get("prompt")
    return _text(prompt[:_HEAD]) if isinstance(prompt, str | list) and prompt else ""


def _first_turn(messages: list[object]) -> list[object]:
    for index, message in enumerate(messages):
        if isinstance(message, dict) and message.get("role") == "user":
            return messages[: index + 1]
    return messages


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def by_affinity(key: str, replicas: Sequence[tuple[str, Replica]]) -> list[Replica]:
    """The replicas, each with a name, in the order in which the conversation prefers them.

    Rendezvous hashing (Thaler and Ravishankar 1998): each replica draws a number from its name and the key. When one goes, only its
    conversations move, each to the next in its own order; when one comes, it takes its share from all and nothing else moves.
    """
    def draw(named: tuple[str, Replica]) -> bytes:
        return hashlib.blake2b(f"{named[0]}\0{key}".encode(), digest_size=8).digest()

    return [replica for _, replica in sorted(replicas, key=draw)]
