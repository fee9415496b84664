"""Errors as OpenAI's servers and `vase serve` word them."""

from __future__ import annotations

import json

from starlette.responses import Response


class ApiError(Exception):
    """What a client is told in place of an answer."""

    def __init__(self, status: int, message: str, kind: str, code: str, retry_after: int = 0) -> None:
        super().__init__(message)
        self.status, self.message, self.kind, self.code, self.retry_after = status, message, kind, code, retry_after

    def body(self) -> bytes:
        """As JSON."""
        error = {"message": self.message, "type": self.kind, "param": None, "code": self.code}
        return json.dumps({"error": error}).encode()

    def event(self) -> bytes:
        """As the last event of a stream that has begun."""
        return b"data: " + self.body() + b"\n\n"

    def response(self) -> Response:
        """As a whole answer."""
        headers = {"Retry-After": str(self.retry_after)} if self.retry_after else None
        return Response(self.body(), self.status, headers, media_type="application/json")
