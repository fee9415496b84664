"""One request on its way to a replica's server, and the answer on its way back."""

from __future__ import annotations

import asyncio
import contextvars
import socket
from collections.abc import Coroutine, Mapping
from typing import Any

import aiohttp
from ray.serve.handle import DeploymentHandle, ReplicaSelection
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from vase.ray.affinity import conversation_key
from vase.ray.api_error import ApiError
from vase.ray.settings import Settings

_ATTEMPTS = 3  # replicas that a request is sent to, at most
_TRY_ELSEWHERE = (429, 503)  # full, or shutting down: not begun
# Between two hops alone (RFC 9110, 7.6.1), or set by whoever sends it on.
_OF_THE_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "proxy-connection", "host", "content-length",
               "date", "server"}
_LOST = ApiError(502, "the replica that was answering is gone: ask again", "server_error", "replica_lost")


def connect() -> aiohttp.ClientSession:
    """Connections to replicas, kept for further requests. How long an answer may take is for its server to say."""
    connector = aiohttp.TCPConnector(limit=0, socket_factory=_patient_socket)
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None, sock_connect=5), auto_decompress=False)


def _patient_socket(address: tuple[Any, ...]) -> socket.socket:
    """A machine that dies says nothing. A long prompt is silent, too, so the system asks: after 10 s, then each 5 s, 3 times."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return made


class _Gone(Exception):
    """The server is not there any more, and the client has been sent nothing yet."""


class Relay(Response):
    """An answer that is made while it is sent.

    Until the first byte of it is here, a replica that is dead, full or shutting down is left for another one. A client that hangs up
    ends the request at its replica, too: whatever ends this coroutine closes the connection there.
    """

    def __init__(self, engines: DeploymentHandle, session: aiohttp.ClientSession, settings: Settings, request: Request,
                 body: bytes) -> None:
        super().__init__()
        self._engines, self._session, self._settings = engines, session, settings
        self._request, self._sent = request, body
        self._key = conversation_key(body) if body else ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answering = _detached(self._answer(send))
        hung_up = asyncio.ensure_future(_until_hung_up(receive))
        try:
            await asyncio.wait((answering, hung_up), return_when=asyncio.FIRST_COMPLETED)
        finally:
            hung_up.cancel()
            answering.cancel()  # once, and not waited for: it gives its place at the replica back
        if answering.done():
            answering.result()

    async def _answer(self, send: Send) -> None:
        avoid: list[str] = []
        try:
            for attempt in range(1, _ATTEMPTS + 1):
                if await self._ask_one(send, avoid, last=attempt == _ATTEMPTS):
                    return
            raise _LOST
        except ApiError as error:
            response = error.response()
            await response(self._request.scope, self._request.receive, send)

    async def _ask_one(self, send: Send, avoid: list[str], *, last: bool) -> bool:
        """Whether the client has its answer. Else the replica is added to `avoid`."""
        choosing = self._engines.choose_replica(key=self._key, avoid=tuple(avoid))
        try:
            async with asyncio.timeout(self._settings.wait):
                selection = await choosing.__aenter__()
        except TimeoutError:
            raise ApiError(503, f"no replica could take this for {self._settings.wait:g} s: they are full, or starting", "server_error",
                           "no_replica", retry_after=5) from None
        try:
            return await self._relay(send, selection, last=last)
        except _Gone:
            avoid.append(selection.replica_id)
            return False
        finally:
            await choosing.__aexit__(None, None, None)

    async def _relay(self, send: Send, selection: ReplicaSelection, *, last: bool) -> bool:
        """Raises _Gone."""
        server = selection.replica_metadata
        url = server["url"] + self._request.url.path
        if self._request.url.query:
            url += "?" + self._request.url.query
        began = False
        try:
            async with self._session.request(self._request.method, url, headers=self._headers(server["key"]),
                                             data=self._sent or None) as answer:
                if answer.status in _TRY_ELSEWHERE and not last:
                    raise _Gone
                streamed = answer.content_type == "text/event-stream"
                # Read before anything is sent on: until then another replica can take over.
                part = await (answer.content.readany() if streamed else answer.read())
                await send({"type": "http.response.start", "status": answer.status, "headers": _back(answer.headers, server, part, streamed)})
                began = True
                while streamed and part:
                    await send({"type": "http.response.body", "body": part, "more_body": True})
                    part = await answer.content.readany()
        except (aiohttp.ClientError, ConnectionError, TimeoutError):
            if not began:
                raise _Gone from None
            part = _LOST.event()
        await send({"type": "http.response.body", "body": part, "more_body": False})
        return True

    def _headers(self, key: str) -> dict[str, str]:
        headers = {name: value for name, value in self._request.headers.items() if name not in _OF_THE_HOP}
        if not self._settings.has_keys:  # else the server judges the client's own
            headers["authorization"] = f"Bearer {key}"
        headers["accept-encoding"] = "identity"
        return headers


def _back(headers: Mapping[str, str], server: Mapping[str, Any], whole: bytes, streamed: bool) -> list[tuple[bytes, bytes]]:
    kept = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items() if name.lower() not in _OF_THE_HOP]
    kept.append((b"x-vase-replica", str(server["rank"]).encode()))
    if not streamed:
        kept.append((b"content-length", str(len(whole)).encode()))
    return kept


_at_work: set[asyncio.Task[None]] = set()  # asyncio itself holds tasks but weakly


def _detached(answering: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """In a context of its own, which is not that of the call by which Ray handed the request over: when a client hangs up, Ray cancels
    that call with all that are made from it, and one of these gives the place at the replica back."""
    task = asyncio.get_running_loop().create_task(answering, context=contextvars.Context())
    _at_work.add(task)
    task.add_done_callback(_at_work.discard)
    return task


async def _until_hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
