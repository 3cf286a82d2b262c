"""Passages: nothing lost, nothing twice, pages right, borders where the structure has them."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from freehold.documents.budget import decide
from freehold.documents.passages import cut, estimate_tokens
from freehold.documents.values import PageSpan

LETTERS = st.text(alphabet="ab .!?\n#|`-дё😀\t  ", max_size=3000)


@given(LETTERS, st.integers(1, 60), st.data())
def test_passages_lie_side_by_side_and_are_the_text(
    text: str, target: int, data: st.DataObject
) -> None:
    borders = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    starts, ends = [0, *borders], [*borders, len(text)]
    pages = [PageSpan(n, *span) for n, span in enumerate(zip(starts, ends, strict=True), 1)]
    passages = cut(text, pages, target_tokens=target)
    assert "".join(p.text for p in passages) == text
    at = 0
    for ordinal, passage in enumerate(passages):
        assert (passage.ordinal, passage.start) == (ordinal, at)
        assert text[passage.start : passage.end] == passage.text != ""
        at = passage.end
        first = max(p.number for p in pages if p.start <= passage.start)
        assert passage.first_page == first <= passage.last_page <= len(pages)
    assert at == len(text)


@given(st.text(alphabet="word .\n", max_size=4000), st.integers(20, 100))
def test_passages_keep_to_their_size(text: str, target: int) -> None:
    for passage in cut(text, target_tokens=target):
        assert estimate_tokens(passage.text) <= target + 2


def test_headings_begin_passages_and_name_what_follows() -> None:
    body = "Some words are said here about it. " * 30
    text = f"# One\n\n{body}\n\n## Two\n\n{body}\n\n## Three\n\n{body}\n\n# Four\n\n{body}"
    passages = cut(text, target_tokens=300)
    assert [p.heading for p in passages] == ["One", "One › Two", "One › Three", "Four"]
    assert [p.text.split("\n")[0] for p in passages] == ["# One", "## Two", "## Three", "# Four"]


def test_a_long_table_is_cut_between_rows() -> None:
    text = "\n".join(f"| part {n} | {n}.00 |" for n in range(500))
    for passage in cut(text, target_tokens=100)[:-1]:
        assert passage.text.startswith("| part")
        assert passage.text.endswith("|\n")


def test_one_endless_word_takes_no_endless_time() -> None:
    began = time.monotonic()
    passages = cut("x" * 3_000_000)
    assert len(passages) > 1000
    assert time.monotonic() - began < 20


def test_whole_up_to_four_fifths_of_the_free_context() -> None:
    budget = decide(document_tokens=2292, context_tokens=4096, other_tokens=207)
    assert (budget.free_tokens, budget.passage_tokens, budget.mode) == (2865, 2292, "whole")
    assert decide(document_tokens=2293, context_tokens=4096, other_tokens=207).mode == "searched"
    tiny = decide(document_tokens=10, context_tokens=256, other_tokens=207)
    assert (tiny.mode, tiny.free_tokens) == ("searched", 0)
