"""Takes requests, and has a replica answer them."""

from __future__ import annotations

from ray import serve
from ray.serve.handle import DeploymentHandle
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from vase.ray.api_error import ApiError
from vase.ray.host_names import is_known
from vase.ray.prometheus import one_page
from vase.ray.relay import Relay, connect
from vase.ray.settings import Settings

# Whose answers are the same wherever they come from.
_ANYWHERE = ("/v1/models", "/v1/models/", "/health", "/openapi.json", "/vase/policies", "/props", "/completion", "/tokenize", "/detokenize")
_COMPLETIONS = ("/v1/chat/completions", "/v1/completions", "/chat/completions", "/completions", "/completion")
_METRICS_SECONDS = 10


class Front:
    """The deployment that clients talk to. It has no state: any front will do for any request."""

    def __init__(self, engines: DeploymentHandle, settings: Settings) -> None:
        self._engines = engines
        self._settings = settings
        self._session = connect()

    async def __call__(self, request: Request) -> Response:
        try:
            return await self._answer(request)
        except ApiError as error:
            return error.response()

    async def _answer(self, request: Request) -> Response:
        self._check_host(request)
        path = request.url.path
        if path == "/metrics":
            return await self._metrics(request)
        if path not in _COMPLETIONS and not path.startswith(_ANYWHERE):
            raise ApiError(404, f"there is nothing at {path} of a cluster: its replicas have pages of their own",
                           "invalid_request_error", "not_found")
        return Relay(self._engines, self._session, self._settings, request, await self._body(request))

    def _check_host(self, request: Request) -> None:
        host = request.headers.get("host")
        if self._settings.has_keys or is_known(host, self._settings.allowed_hosts):
            return
        raise ApiError(403, f'this server does not know itself as "{str(host)[:80]}": ask it by an address, or start it with '
                            "allowed_hosts=NAME or a key", "invalid_request_error", "unknown_host")

    async def _body(self, request: Request) -> bytes:
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > self._settings.max_body:
                raise ApiError(413, f"the request body is larger than {self._settings.max_body} bytes", "invalid_request_error",
                               "request_too_large")
        return bytes(body)

    async def _metrics(self, request: Request) -> Response:
        """One page over all replicas that answer, with the client's own key, if there are keys."""
        authorization = request.headers.get("authorization", "Bearer") if self._settings.has_keys else ""
        answers = await self._engines.broadcast("metrics", authorization).results_async(
            timeout_s=_METRICS_SECONDS, return_exceptions=True)
        pages = []
        for answer in answers:
            if isinstance(answer, BaseException):
                continue
            replica, status, text = answer
            if status != 200:
                return Response(text, status, media_type="application/json")
            pages.append((replica, text))
        return PlainTextResponse(one_page(sorted(pages)), media_type="text/plain; version=0.0.4")
