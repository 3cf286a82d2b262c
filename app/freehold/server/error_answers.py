"""Errors as HTTP answers: OpenAI's shape below `/v1`, Freehold's own elsewhere."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from freehold.errors import AppError

_CLOSING = frozenset({"payload_too_large", "request_timeout", "headers_too_large"})
_encode = msgspec.json.Encoder(enc_hook=str).encode


def openai_error(error: AppError) -> dict[str, Any]:
    """Return `error` as OpenAI's clients expect it."""
    status = error.status
    if status == 401:
        kind, code = "authentication_error", "invalid_api_key"
    elif status == 403:
        kind, code = "permission_error", error.code
    elif status == 429:
        kind, code = "rate_limit_error", error.code
    elif status < 500:
        kind, code = "invalid_request_error", error.code
    else:
        kind, code = "server_error", error.code
    body: dict[str, Any] = {
        "message": error.sentence,
        "type": kind,
        "param": error.detail.get("param"),
        "code": code,
    }
    extra = {key: value for key, value in error.detail.items() if key != "param"}
    return {"error": {**body, "detail": extra} if extra else body}


def error_body(error: AppError, path: str) -> bytes:
    """Return the JSON body for `error` in the shape of the API `path` belongs to."""
    native = path.startswith("/freehold/")
    return _encode({"error": error.to_dict()} if native else openai_error(error))


def error_headers(error: AppError) -> dict[str, str]:
    """Return the headers that go with `error`."""
    headers = {}
    if error.status in (429, 503):
        headers["retry-after"] = str(error.detail.get("retry_after_s", 1))
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    if error.code in _CLOSING:
        headers["connection"] = "close"
    return headers


def error_response(error: AppError, path: str) -> Response:
    """Return the whole answer for `error`."""
    return Response(
        error_body(error, path),
        status_code=error.status,
        headers=error_headers(error),
        media_type="application/json",
    )
