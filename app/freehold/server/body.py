"""Reading a request's body within its bounds: size, time, type and depth."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from freehold.errors import AppError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Headers = Sequence[tuple[bytes, bytes]]

MAX_BODY_BYTES = 10_000_000
MAX_DEPTH = 64
BODY_LIMIT_S = 15.0

_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")


def header(headers: Headers, name: bytes) -> bytes | None:
    """Return the first value of a header."""
    return next((value for key, value in headers if key == name), None)


def has_body(headers: Headers) -> bool:
    """Return whether a request announces a body."""
    length = header(headers, b"content-length")
    return header(headers, b"transfer-encoding") is not None or length not in (None, b"0")


def check_bytes(headers: Headers) -> None:
    """Raise AppError unless the body is announced as plain bytes."""
    if _media_type(headers) != b"application/octet-stream":
        raise AppError(
            "unsupported_media_type",
            "The body must be the file's bytes, uncompressed.",
            "Send it with `Content-Type: application/octet-stream`.",
        )


def check_type(headers: Headers) -> None:
    """Raise AppError unless the body is plain JSON; forms and text are what web pages can send."""
    if _media_type(headers) != b"application/json":
        raise AppError(
            "unsupported_media_type",
            "The body must be JSON, uncompressed.",
            "Send it with `Content-Type: application/json`.",
        )


def _media_type(headers: Headers) -> bytes:
    """Return the body's type; b"" when it is packed."""
    encoding = (header(headers, b"content-encoding") or b"identity").strip().lower()
    media_type = (header(headers, b"content-type") or b"").split(b";")[0].strip().lower()
    return media_type if encoding == b"identity" else b""


def is_too_deep(body: bytes, limit: int = MAX_DEPTH) -> bool:
    """Return whether JSON is nested more than `limit` deep, without parsing it."""
    if body.count(b"[") + body.count(b"{") <= limit:
        return False
    skeleton = _STRINGS.sub(b"", body).translate(_ONE_KIND, _NO_BRACKETS)
    for _ in range(limit):
        skeleton = skeleton.replace(b"[]", b"")
        if b"[" not in skeleton:
            return False
    return True


async def read_body(headers: Headers, receive: Receive) -> bytes:
    """Return the whole body.

    Raises: AppError `payload_too_large`, `request_timeout`, or `invalid_request` when too deep;
    `cancelled` when the client left.
    """
    announced = header(headers, b"content-length")
    if announced is not None and announced.isdigit() and int(announced) > MAX_BODY_BYTES:
        raise _too_large()
    try:
        async with asyncio.timeout(BODY_LIMIT_S):
            body = await _collect(receive)
    except TimeoutError as error:
        raise AppError(
            "request_timeout",
            f"The request did not arrive within {BODY_LIMIT_S:.0f} seconds.",
            "Send it again over a faster connection.",
            retryable=True,
        ) from error
    if is_too_deep(body):
        raise AppError(
            "invalid_request",
            f"The JSON is nested more than {MAX_DEPTH} levels deep.",
            "Send a flatter document.",
        )
    return body


async def _collect(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise AppError("cancelled", "The client left before its request was complete.")
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise _too_large()
        if not message.get("more_body", False):
            return bytes(body)


def replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives `body` first, then what comes after."""
    waiting: list[bytes] = [body]

    async def next_message() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return next_message


def _too_large() -> AppError:
    return AppError(
        "payload_too_large",
        f"The request is larger than {MAX_BODY_BYTES // 1_000_000} MB.",
        "Send less at once.",
        detail={"max_bytes": MAX_BODY_BYTES},
    )
