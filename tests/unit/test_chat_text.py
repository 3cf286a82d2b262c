"""Titles, search terms and what text is accepted."""

from __future__ import annotations

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.chats.text import (
    TITLE_CHARACTERS,
    check_text,
    index_text,
    match_expression,
    scrub,
    snippet,
    title_of,
)
from freehold.errors import AppError


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("How do owls hunt?", "How do owls hunt?"),
        ("\n\n  first line \nsecond", "first line"),
        ("## Heading\n", "Heading"),
        ("   ", ""),
        ("a\0b\tc", "a b c"),
        ("word " * 40, "word word word word word word word word word word word…"),
        ("x" * 500, "x" * (TITLE_CHARACTERS - 1) + "…"),
    ],
)
def test_a_title_is_the_first_line_shortened(text: str, title: str) -> None:
    assert title_of(text) == title


@given(st.text(max_size=300))
def test_a_title_is_short_and_on_one_line(text: str) -> None:
    title = title_of(text)
    assert len(title) <= TITLE_CHARACTERS
    assert "\n" not in title


def test_half_a_surrogate_pair_is_refused_from_people_and_replaced_from_models() -> None:
    with pytest.raises(AppError) as refused:
        check_text("broken \ud83d half")
    assert refused.value.code == "invalid_request"
    assert scrub("broken \ud83d half") == "broken \ufffd half"
    assert check_text("NUL \0 and 👋 are fine") == "NUL \0 and 👋 are fine"


def test_too_long_text_is_refused_with_the_numbers() -> None:
    with pytest.raises(AppError) as refused:
        check_text("x" * 11, limit=10)
    assert refused.value.code == "payload_too_large"
    assert refused.value.detail["characters"] == 11


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=80))
def test_every_query_is_a_valid_expression(query: str) -> None:
    expression = match_expression(query)
    if not expression:
        return
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE VIRTUAL TABLE t USING fts5 (text, tokenize = 'unicode61')")
    connection.execute("INSERT INTO t VALUES (?)", (index_text(query),))
    connection.execute("SELECT count(*) FROM t WHERE t MATCH ?", (expression,)).fetchall()
    connection.close()


@given(
    content=st.text(st.characters(exclude_categories=["Cs"]), max_size=500),
    query=st.text(max_size=20),
)
def test_a_snippet_is_short_and_on_one_line(content: str, query: str) -> None:
    piece = snippet(content, query)
    assert len(piece) <= 170
    assert "\n" not in piece


def test_a_snippet_shows_what_was_found() -> None:
    content = "lorem ipsum " * 50 + "the Barn Owl hunts" + " dolor sit" * 50
    assert "Barn Owl" in snippet(content, "barn")
    assert snippet(content, "barn").startswith("…")
