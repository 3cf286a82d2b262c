"""Bounds on grammars and schemas, as a pure matter of text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.engine import grammar_limits
from freehold.engine.grammar_limits import check_gbnf, check_request_depth, check_schema
from freehold.errors import AppError

VALUES = st.recursive(
    st.text(alphabet='[]{}"\\a', max_size=6) | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=12,
)


@given(VALUES)
def test_depth_of_json_ignores_what_strings_hold(value: Any) -> None:
    found = grammar_limits.depth(grammar_limits._JSON_TOKEN, "[{", json.dumps(value))
    assert found == _depth(value)


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0


def test_bounds_are_exact() -> None:
    check_schema("[" * 32 + "]" * 32)
    check_gbnf("(" * 32 + ")" * 32)
    check_request_depth("[" * 64 + "]" * 64)
    check_schema('"' + "[" * 40 + '"')
    check_gbnf('root ::= "' + "(" * 40 + r'" [(\]((] # ' + "(" * 40)
    check_gbnf("x" * 65536)
    for check, text, code in (
        (check_schema, "[" * 33, "invalid_grammar"),
        (check_gbnf, "(" * 33, "invalid_grammar"),
        (check_request_depth, "[" * 65, "invalid_request"),
        (check_schema, " " * 65537, "invalid_grammar"),
        (check_gbnf, "é" * 32769, "invalid_grammar"),
    ):
        with pytest.raises(AppError) as raised:
            check(text)
        assert raised.value.code == code
        assert raised.value.hint
