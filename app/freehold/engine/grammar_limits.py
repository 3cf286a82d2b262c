"""Bounds on grammars and JSON schemas, checked before llama.cpp sees them."""

from __future__ import annotations

import re

from freehold.engine.native import native_error

MAX_GRAMMAR_BYTES = 64 * 1024
MAX_DEPTH = 32
MAX_JSON_DEPTH = 64

_JSON_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|[\[\]{}]', re.DOTALL)
_GBNF_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]|#[^\n]*|[()]', re.DOTALL)


def check_schema(schema: str) -> None:
    """Refuse a JSON schema that is too large or too deeply nested.

    Raises: AppError `invalid_grammar`.
    """
    _check_size(schema, "JSON schema")
    if depth(_JSON_TOKEN, "[{", schema) > MAX_DEPTH:
        raise native_error(
            "invalid_grammar", f"the JSON schema is nested deeper than {MAX_DEPTH} levels"
        )


def check_gbnf(grammar: str) -> None:
    """Refuse a GBNF grammar that is too large or too deeply nested.

    Raises: AppError `invalid_grammar`.
    """
    _check_size(grammar, "grammar")
    if depth(_GBNF_TOKEN, "(", grammar) > MAX_DEPTH:
        raise native_error(
            "invalid_grammar", f"the grammar is nested deeper than {MAX_DEPTH} levels"
        )


def check_request_depth(request: str) -> None:
    """Refuse messages or tools nested so deep that reading them could exhaust the stack.

    Raises: AppError `invalid_request`.
    """
    if depth(_JSON_TOKEN, "[{", request) > MAX_JSON_DEPTH:
        raise native_error(
            "invalid_request",
            f"messages and tools are nested deeper than {MAX_JSON_DEPTH} levels",
        )


def depth(token: re.Pattern[str], opening: str, text: str) -> int:
    """Return how deep the brackets of `text` nest, those inside strings not counted."""
    deepest = level = 0
    for match in token.finditer(text):
        found = match.group()
        if len(found) > 1:
            continue
        if found in opening:
            level += 1
            deepest = max(deepest, level)
        else:
            level -= 1
    return deepest


def _check_size(text: str, name: str) -> None:
    size = len(text.encode("utf-8", "replace"))
    if size > MAX_GRAMMAR_BYTES:
        raise native_error(
            "invalid_grammar",
            f"the {name} has {size} bytes, more than the {MAX_GRAMMAR_BYTES} allowed",
        )
