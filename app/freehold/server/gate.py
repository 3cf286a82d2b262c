"""What every request passes before any route sees it: Host, Origin, headers, key, body.

The gate is closed by default: a path that is not in `PUBLIC` needs the key, so a new route is
protected before anyone thinks of it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from freehold.errors import AppError, internal
from freehold.server.allow_list import AllowList, Headers
from freehold.server.body import check_bytes, check_type, has_body, read_body, replay
from freehold.server.error_answers import error_response
from freehold.server.key_check import KeyCheck

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PUBLIC: Final = frozenset({("GET", "/health"), ("HEAD", "/health"), ("GET", "/freehold/v1/hello")})
# Bodies that are not read whole: bytes, which the route streams to disk within its own limits.
STREAMED: Final = frozenset({("POST", "/freehold/v1/documents/upload")})
# What the protocol tells beside the standard scope: a target with a host of its own, and how to
# drop the connection with everything still to be sent.
ABSOLUTE_FORM: Final = "freehold.absolute_form"
ABORT: Final = "freehold.abort"
MAX_HEADERS: Final = 100
MAX_HEADER_BYTES: Final = 32_768
BODY_METHODS: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
ANSWER_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Gate:
    """ASGI middleware in front of everything."""

    def __init__(
        self,
        app: App,
        allow_list: Callable[[], AllowList],
        keys: KeyCheck,
        is_ending: Callable[[], bool] = lambda: False,
    ) -> None:
        self._app = app
        self._is_ending = is_ending
        self._allow_list = allow_list
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        begun = False

        async def guarded_send(message: Message) -> None:
            nonlocal begun
            if not begun:
                begun = True
                message["headers"] = [*message.get("headers", ()), *ANSWER_HEADERS]
            await send(message)

        path = scope["path"]
        try:
            self._check_head(scope)
            if self._is_ending():
                raise AppError(
                    "server_unreachable",
                    "Freehold's server is ending.",
                    "Start it again with `freehold serve`, or open Freehold.",
                    retryable=True,
                )
            if (scope["method"], path) in STREAMED:
                check_bytes(scope["headers"])
            elif scope["method"] in BODY_METHODS and has_body(scope["headers"]):
                check_type(scope["headers"])
                body = await read_body(scope["headers"], receive)
                receive = replay(body, receive)
            await self._app(scope, receive, guarded_send)
        except AppError as error:
            if not begun:
                await error_response(error, path)(scope, receive, guarded_send)
        except Exception:
            log.exception("answering %s failed", path)
            if not begun:
                await error_response(internal(), path)(scope, receive, guarded_send)

    def _check_head(self, scope: Scope) -> None:
        headers: Headers = scope["headers"]
        allowed = self._allow_list()
        if not allowed.admits_host(headers) or scope.get("extensions", {}).get(ABSOLUTE_FORM):
            raise AppError(
                "misdirected_request",
                "This server does not answer to that host name.",
                "Use the address shown in Freehold's settings.",
            )
        if not allowed.admits_origin(headers):
            raise AppError(
                "forbidden",
                "Web pages may not call this server.",
                "Call it from a program, without an Origin header.",
            )
        size = sum(len(name) + len(value) for name, value in headers)
        if len(headers) > MAX_HEADERS or size > MAX_HEADER_BYTES:
            raise AppError(
                "headers_too_large",
                f"The request has more than {MAX_HEADERS} headers or {MAX_HEADER_BYTES} bytes "
                "of them.",
                "Send fewer headers.",
            )
        if (scope["method"], scope["path"]) not in PUBLIC:
            client = scope.get("client")
            self._keys.check(headers, client[0] if client else "")
