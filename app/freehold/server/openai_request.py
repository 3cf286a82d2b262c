"""Reading OpenAI requests: JSON to a checked value, and errors that name the parameter."""

from __future__ import annotations

import json
import re
from typing import Any, Final, TypeVar

import msgspec

from freehold.errors import AppError
from freehold.server.body import is_too_deep

T = TypeVar("T")

MAX_SCHEMA_BYTES: Final = 65_536
MAX_SCHEMA_DEPTH: Final = 32
_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `(?P<where>.*)`)?$", re.DOTALL)


def decode_request(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Return the request in `body`; fields nobody knows are dropped.

    Raises: AppError `invalid_request` with the parameter's name in `detail`.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        match = _PLACE.match(str(error))
        what, where = (match["what"], match["where"] or "") if match else (str(error), "")
        param = where.removeprefix("$").removeprefix(".")
        name = f"`{param}`" if param else "The request"
        raise invalid(f"{name} is not valid: {what}.", param or None) from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise invalid(f"The body is not valid JSON ({error}).", None) from error


def invalid(
    message: str, param: str | None, hint: str = "Change it and send the request again."
) -> AppError:
    """Return the error for a wrong parameter."""
    return AppError("invalid_request", message, hint, detail={"param": param} if param else None)


def schema_text(schema: dict[str, Any], param: str) -> str:
    """Return a JSON schema as text, within the bounds a grammar can be made from."""
    text = json.dumps(schema)
    if len(text) > MAX_SCHEMA_BYTES or is_too_deep(text.encode(), MAX_SCHEMA_DEPTH):
        raise AppError(
            "invalid_grammar",
            f"The JSON schema is larger than {MAX_SCHEMA_BYTES // 1024} KB or nested more than "
            f"{MAX_SCHEMA_DEPTH} deep.",
            "Use a smaller schema.",
            detail={"param": param},
        )
    return text
