"""A chat's own sampling settings: a part of `SamplingParams`, stored as given."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from freehold.engine.requests import SamplingParams
from freehold.errors import AppError

# Kept beside the sampling of a chat: they shape the request, not the sampler.
EXTRA = {"max_tokens": int, "enable_thinking": bool}


def check_sampling(values: Mapping[str, object]) -> None:
    """Raise AppError `invalid_request` naming the first setting that is unknown or mistyped."""
    to_params(values)
    for name, kind in EXTRA.items():
        value = values.get(name)
        if value is not None and type(value) is not kind:
            raise _wrong(name)
    tokens = values.get("max_tokens")
    if isinstance(tokens, int) and tokens < 1:
        raise _wrong("max_tokens")


def to_params(values: Mapping[str, object]) -> SamplingParams:
    """Return a chat's settings over the defaults; None means the default."""
    given = {k: v for k, v in values.items() if v is not None and k not in EXTRA}
    for name in given:
        if name not in SamplingParams.__struct_fields__:
            raise _wrong(name)
    try:
        return msgspec.convert(given, SamplingParams)
    except msgspec.ValidationError as error:
        raise AppError(
            "invalid_request",
            f"A sampling setting of this chat is not valid: {error}.",
            "Change it in the chat's settings.",
            detail={"param": "sampling"},
        ) from error


def _wrong(name: str) -> AppError:
    return AppError(
        "invalid_request",
        f"{name[:60]!r} is not a valid sampling setting.",
        "Remove it from the chat's settings.",
        detail={"param": "sampling", "name": name[:60]},
    )
