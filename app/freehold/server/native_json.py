"""Bodies and answers of Freehold's own API: JSON by msgspec, checked against `wire` values."""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from freehold.errors import AppError
from freehold.server.allow_list import is_loopback

PREFIX: Final = "/freehold/v1"
MAX_NUMBER: Final = 1 << 53

T = TypeVar("T")

_encode = msgspec.json.Encoder().encode


def answer(value: Any) -> Response:
    """Return a value as a JSON answer."""
    return Response(_encode(value), media_type="application/json")


def done() -> Response:
    """Return the answer of a call that has nothing to say."""
    return Response(status_code=204)


async def read(request: Request, kind: type[T]) -> T:
    """Return the body as a value of `kind`; an absent body counts as `{}`.

    Raises: AppError `invalid_request` naming the field.
    """
    body = await request.body()
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AppError(
            "invalid_request",
            f"The request's JSON is not what this call takes: {error}.",
            "Look at the documentation of this call.",
            detail={"reason": str(error)},
        ) from error


def query_number(request: Request, name: str) -> int | None:
    """Return a whole number of the query string, None without it."""
    text = request.query_params.get(name)
    if text is None:
        return None
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 16):
        raise AppError(
            "invalid_request",
            f"{name} must be a whole number.",
            f"Leave {name} out or give a number.",
            detail={"param": name},
        )
    return int(text)


def require_local(request: Request) -> None:
    """Raise AppError `forbidden` unless the caller is on this machine."""
    if request.client is None or not is_loopback(request.client.host):
        raise AppError(
            "forbidden",
            "This can only be done on the machine that Freehold's server runs on.",
            "Use Freehold there.",
        )
