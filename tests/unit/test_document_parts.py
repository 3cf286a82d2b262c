"""The pure parts of answering from documents: marks in a stream, reading in parts, follow-ups,
pages, prompts."""

from __future__ import annotations

import itertools
import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from freehold.documents import vectors
from freehold.documents.citation_marks import MarkFilter
from freehold.documents.grounding import fill, page_at
from freehold.documents.index import StoredPassage
from freehold.documents.page_pictures import plan_picture
from freehold.documents.passages import Passage, estimate_tokens
from freehold.documents.prompt import Turn, build_messages
from freehold.documents.reading_all import grouped, lines_of, once, parts_of
from freehold.documents.recognition import marks, parse_tsv
from freehold.documents.searching import search_text
from freehold.documents.values import PageSpan
from freehold.documents.vectors import VectorTable

MARKED = 'It is 4,250 euros [1: "rent is 4,250 euros"], see [the annex] and [2, 3]; a[0] = [x].'


def stored(number: int, text: str, page: int = 1, document_id: str = "d") -> StoredPassage:
    passage = Passage(
        ordinal=number,
        start=number * 1000,
        end=number * 1000 + len(text),
        first_page=page,
        last_page=page,
        heading="",
        text=text,
    )
    return StoredPassage(id=number, document_id=document_id, file="a.txt", passage=passage)


@given(st.lists(st.integers(1, len(MARKED) - 1), max_size=12))
def test_marks_vanish_wherever_the_stream_is_cut(cuts: list[int]) -> None:
    places = sorted({0, *cuts, len(MARKED)})
    marks_filter = MarkFilter()
    shown = "".join(marks_filter.feed(MARKED[a:b]) for a, b in itertools.pairwise(places))
    assert shown == "It is 4,250 euros, see [the annex] and; a = [x]."


def test_a_bracket_that_becomes_no_mark_is_not_held_for_ever() -> None:
    marks_filter = MarkFilter()
    assert marks_filter.feed('see [1: "') == "see"
    assert marks_filter.feed("x" * 700).startswith(' [1: "')


def test_parts_hold_every_passage_once_and_fit() -> None:
    passages = [stored(number, "word " * (10 + number * 7 % 90)) for number in range(60)]
    parts = parts_of(passages, 200)
    assert [p.id for part in parts for p in part] == [p.id for p in passages]
    assert all(
        len(part) == 1 or sum(estimate_tokens(p.passage.text) for p in part) <= 200
        for part in parts
    )
    assert len(parts) > 5


def test_notes_are_lines_and_equal_things_are_one() -> None:
    text = 'Here:\n- Rent [1: "the rent"]\n2) Deposit\n- None\n* rent. [7: "rent"]'
    assert lines_of(text) == ['Rent [1: "the rent"]', "Deposit", 'rent. [7: "rent"]']
    assert lines_of("None.") == lines_of("Нет") == []
    assert lines_of("just this") == ["just this"]
    assert once(lines_of(text)) == ['Rent [1: "the rent"]', "Deposit"]
    groups = grouped([str(n) * 40 for n in range(9)], 30)
    assert [line for group in groups for line in group] == [str(n) * 40 for n in range(9)]
    assert len(groups) > 3


def test_a_short_follow_up_is_searched_with_the_question_before() -> None:
    history = (
        {"role": "user", "content": "What does the lease say about pets?"},
        {"role": "assistant", "content": "They are allowed [1]."},
    )
    assert search_text(Turn(question="And dogs?", history=history)) == (
        "And dogs? What does the lease say about pets?"
    )
    long = "Who pays the yearly rent of the warehouse?"
    assert search_text(Turn(question=long, history=history)) == long
    assert search_text(Turn(question="And dogs?")) == "And dogs?"


def test_the_prompt_begins_with_documents_or_ends_with_passages() -> None:
    history = (
        {"role": "user", "content": "First?"},
        {"role": "assistant", "content": "So [1], and so [12]."},
        {"role": "tool", "content": "ignored"},
    )
    turn = Turn(question="Second?", history=history, wishes="Be brief.")
    passages = [stored(0, "The rent is due.")]
    whole = build_messages(passages, turn, {})
    assert [m["role"] for m in whole] == ["system", "user", "assistant", "user"]
    assert "The rent is due." in whole[1]["content"]
    assert whole[1]["content"].endswith("Question: First?")
    assert whole[2]["content"] == "So, and so."
    assert whole[3]["content"] == "Second?"
    searched = build_messages(passages, turn, {}, is_last=True)
    assert searched[1]["content"] == "First?"
    assert "The rent is due." in searched[3]["content"]
    assert "Be brief." in searched[3]["content"]
    assert searched[3]["content"].endswith("Question: Second?")
    # The part with the documents does not depend on the question.
    other = build_messages(passages, Turn(question="Third?", wishes="Be brief."), {})
    fenced = re.compile(r".*end of the documents>>>", re.S)
    assert fenced.match(other[1]["content"])[0] == fenced.match(whole[1]["content"])[0]  # type: ignore[index]


def test_pages_of_characters_and_whole_pages_first() -> None:
    pages = (PageSpan(1, 0, 10), PageSpan(2, 10, 10), PageSpan(3, 10, 30))
    assert [page_at(pages, at) for at in (0, 9, 10, 29)] == [1, 1, 3, 3]
    passages = [stored(n, "word " * 40, page=1 + n // 2) for n in range(6)]
    room = estimate_tokens("word " * 40) * 3
    assert [p.id for p in fill(passages, room)] == [0, 1]  # the third begins a page that is cut
    assert [p.id for p in fill(passages, room // 3)] == [0]
    assert fill(passages, 1) == []


def test_only_the_part_on_the_page_is_boxed() -> None:
    span = PageSpan(2, 100, 200)
    inside = plan_picture(span, "", 120, 150, 800)
    assert (inside.page, inside.start, inside.end) == (2, 20, 50)
    across = plan_picture(span, "", 50, 500, 800)
    assert (across.start, across.end) == (0, 100)
    for start, end in ((0, 0), (0, 100), (200, 300), (150, 120)):
        assert plan_picture(span, "", start, end, 800).end == 0
    words = "[[0,4,0.1,0.1,0.2,0.2],[5,9,0.3,0.1,0.4,0.2]]"
    assert plan_picture(span, words, 105, 108, 800).marks == ((0.3, 0.1, 0.4, 0.2),)


def test_a_table_of_recognised_words_becomes_lines_with_places() -> None:
    head = "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf"
    rows = [
        "1\t1\t0\t0\t0\t0\t0\t0\t200\t100\t-1\t",
        "5\t1\t1\t1\t1\t1\t20\t10\t40\t10\t96.1\tInvoice",
        "5\t1\t1\t1\t1\t2\t70\t10\t40\t10\t95.0\t4711",
        "5\t1\t1\t1\t2\t1\t20\t30\t40\t10\t91.0\ttotal",
        "5\t1\t1\t1\t2\t2\t70\t30\t40\t10\t3.0\t~~",
        '5\t1\t2\t1\t1\t1\t20\t60\t40\t10\t91.0\t"99',
        "nonsense",
    ]
    page = parse_tsv("\n".join([f"{head}\ttext", *rows]))
    assert page.text == 'Invoice 4711\ntotal\n\n"99\n\n'
    assert [page.text[w.start : w.end] for w in page.words] == ["Invoice", "4711", "total", '"99']
    assert marks(page.words, 8, 12) == ((0.35, 0.1, 0.55, 0.2),)
    assert parse_tsv("").text == ""


def test_many_vectors_are_found_by_their_signs(monkeypatch: object) -> None:
    rng = np.random.default_rng(5)
    rows = rng.standard_normal((3000, 96), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    exact = VectorTable(range(3000), rows)
    monkeypatch.setattr(vectors, "COMPARED_WHOLE", 100)  # type: ignore[attr-defined]
    monkeypatch.setattr(vectors, "SHORT_LIST", 600)  # type: ignore[attr-defined]
    signs = VectorTable(range(3000), rows)
    shared = 0
    for row in rows[:20]:
        query = row + 0.05 * rng.standard_normal(96, dtype=np.float32)
        shared += len(set(exact.nearest(query, 10)) & set(signs.nearest(query, 10)))
    assert shared > 0.9 * 200
    assert VectorTable([], np.zeros((0, 0), np.float32)).nearest(rows[0], 5) == []
    assert exact.nearest(np.zeros(3, np.float32), 5) == []
