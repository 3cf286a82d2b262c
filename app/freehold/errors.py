"""Errors that reach a person: what happened, and what to do about it.

Anything that is not an `AppError` is a bug of ours: it is logged with its traceback at the edge
that caught it and answered as `internal()`, without the traceback.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

STATUS_BY_CODE: Final[Mapping[str, int]] = {
    # wrong input
    "invalid_request": 400,
    "context_length_exceeded": 400,
    "invalid_template": 400,
    "invalid_grammar": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "model_not_found": 404,
    "method_not_allowed": 405,
    "request_timeout": 408,
    "conflict": 409,
    "payload_too_large": 413,
    "unsupported_media_type": 415,
    "misdirected_request": 421,
    "does_not_fit": 422,
    "invalid_model": 422,
    "invalid_document": 422,
    "encrypted_document": 422,
    "unsupported_architecture": 422,
    "rate_limited": 429,
    "headers_too_large": 431,
    # ours or the machine's
    "internal": 500,
    "not_supported": 501,
    "network_failed": 502,
    "download_corrupt": 502,
    "busy": 503,
    "engine_crashed": 503,
    "engine_stalled": 503,
    "model_loading": 503,
    "interrupted": 503,
    "cancelled": 499,
    "disk_full": 507,
    "storage_failed": 500,
    "storage_too_new": 500,
    "port_taken": 500,
    "no_permission": 500,
    "already_running": 409,
    "server_unreachable": 503,
}


class AppError(Exception):
    """A failure with a cause a person can act on.

    Attributes:
        code: stable, machine-readable; a key of `STATUS_BY_CODE`.
        message: what happened, one sentence.
        hint: what to do about it, one sentence; may be empty only where nothing can be done.
        retryable: whether the same request may succeed later unchanged.
        detail: figures and names for programs (JSON-able).
    """

    def __init__(
        self,
        code: str,
        message: str,
        hint: str = "",
        *,
        retryable: bool = False,
        detail: Mapping[str, object] | None = None,
    ) -> None:
        if code not in STATUS_BY_CODE:
            raise ValueError(f"unknown error code {code!r}")
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.retryable = retryable
        self.detail: dict[str, object] = dict(detail or {})

    @property
    def status(self) -> int:
        """Return the HTTP status this error is answered with."""
        return STATUS_BY_CODE[self.code]

    @property
    def sentence(self) -> str:
        """Return message and hint as the text shown to a person."""
        return f"{self.message} {self.hint}".strip()

    def to_dict(self) -> dict[str, object]:
        """Return the error as plain data, to cross a process border."""
        return {
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "retryable": self.retryable,
            "detail": self.detail,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> AppError:
        """Rebuild an error from `to_dict`; an unknown code becomes `internal`."""
        code = str(data.get("code", "internal"))
        detail = data.get("detail")
        return cls(
            code if code in STATUS_BY_CODE else "internal",
            str(data.get("message", "")),
            str(data.get("hint", "")),
            retryable=bool(data.get("retryable", False)),
            detail=detail if isinstance(detail, Mapping) else None,
        )


def internal() -> AppError:
    """Return the answer given for a bug; the traceback stays in the log."""
    return AppError(
        "internal",
        "Something went wrong inside Freehold.",
        "The log has the details; `freehold doctor` says where it is.",
    )
