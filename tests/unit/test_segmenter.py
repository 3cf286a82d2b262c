"""The segmenter's promises: joined is the input, frozen stays, chunking makes no difference."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from freehold.ui.chats.segment import Kind, Segment, cells
from freehold.ui.chats.segmenter import HARD_CHARS, TARGET_CHARS, Segmenter, split

LINES = st.sampled_from(
    [
        "",
        "plain words here",
        "- item",
        "  - inner item",
        "1. first",
        "   continued",
        "```",
        "```py",
        "   ```bash",
        "   ```",
        "````md",
        "````",
        "~~~",
        "~~~ js",
        "`````not `a fence",
        "    indented code",
        "| a | b |",
        "|---|:-:|",
        "| 1 | 2 | 3 |",
        "a | b",
        "--|--",
        "# Heading",
        "> quote",
        "> ```",
        "***",
        "<think>",
        "</think>",
        "  </think> behind",
        "<b>html</b>",
        "x" * 1500,
        "слово " * 300,
        "`",
        "``",
    ]
)
ENDS = st.sampled_from(["\n", "\r\n", "\n\n"])
MARKDOWN = st.builds(
    lambda parts, last: "".join(a + b for a, b in parts) + last,
    st.lists(st.tuples(LINES, ENDS), max_size=40),
    LINES,
)
ANY = st.one_of(
    MARKDOWN, st.text(max_size=400), st.text(alphabet="`~|- \n\r<>thinkx", max_size=200)
)


def fed(text: str, cuts: list[int]) -> Segmenter:
    segmenter = Segmenter()
    places = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    for start, end in itertools.pairwise(places):
        segmenter.feed(text[start:end])
    return segmenter


@settings(max_examples=300, deadline=None)
@given(ANY, st.lists(st.integers(0, 60_000), max_size=30))
@example("<think>a</think>b\n```py\nx\n```", [3, 9, 14])
@example("x" * 20_000 + "\n| a | b |\n|---|---|\n", [1_023, 1_024, 1_025, 8_000])
def test_joined_is_the_input_however_it_was_chunked(text: str, cuts: list[int]) -> None:
    whole, pieces = fed(text, []), fed(text, cuts)
    assert pieces.segments() == whole.segments()
    assert "".join(s.text for s in whole.segments()) == text
    whole.finish()
    pieces.finish()
    assert pieces.segments() == whole.segments()
    assert "".join(s.text for s in whole.segments()) == text
    assert all(segment.frozen and segment.text for segment in whole.segments())


@settings(max_examples=200, deadline=None)
@given(ANY, st.integers(1, 700))
def test_frozen_segments_never_change(text: str, step: int) -> None:
    segmenter = Segmenter()
    before: tuple[Segment, ...] = ()
    for start in range(0, len(text), step):
        segmenter.feed(text[start : start + step])
        now = segmenter.segments()
        frozen = tuple(segment for segment in now if segment.frozen)
        assert frozen[: len(before)] == before
        assert all(segment.frozen for segment in now[:-1])
        before = frozen
    segmenter.finish()
    assert segmenter.segments()[: len(before)] == before


@settings(max_examples=200, deadline=None)
@given(ANY)
def test_shown_text_is_safe_to_ask_for_at_any_time(text: str) -> None:
    segmenter = Segmenter()
    for character in text[:300]:
        segmenter.feed(character)
        for segment in segmenter.segments():
            assert isinstance(segment.shown, str)
    assert all(isinstance(segment.shown, str) for segment in split(text))


def kinds(text: str) -> list[str]:
    return [segment.kind.value for segment in split(text)]


def test_code_is_a_segment_of_its_own() -> None:
    prose, code, after = split("Say:\n\n```Python title=x\nprint(1)\n\nprint(2)\n```\nDone.\n")
    assert (prose.kind, code.kind, after.kind) == (Kind.PROSE, Kind.CODE, Kind.PROSE)
    assert code.language == "python"
    assert code.shown == "print(1)\n\nprint(2)"
    assert after.shown == "Done.\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("````md\n```py\nx\n```\n````\n", "```py\nx\n```"),
        ("~~~\n```\n~~~\n", "```"),
        ("```\r\na\r\nb\r\n```\r\n", "a\nb"),
        ("```\n    keep\n```", "    keep"),
        ("  ```\n  a\n    b\n  ```", "a\n  b"),
        ("```py\nopen", "open"),
        ("```\n```\n", ""),
        ("```\n~~~\n````\n", "~~~"),
        ("```\n``` not a close\n```\n", "``` not a close"),
    ],
)
def test_fences(text: str, shown: str) -> None:
    (code,) = split(text)
    assert code.kind is Kind.CODE
    assert code.shown == shown


def test_fence_being_written_is_not_shown() -> None:
    segmenter = Segmenter()
    segmenter.feed("Look:\n``")
    assert segmenter.segments()[-1].shown == "Look:\n"
    segmenter.feed("`py\nx = 1\n``")
    assert segmenter.segments()[-1].kind is Kind.CODE
    assert segmenter.segments()[-1].shown == "x = 1"
    segmenter.feed("`")
    assert segmenter.segments()[-1].shown == "x = 1"


def test_backticks_in_the_line_are_no_fence() -> None:
    assert kinds("```x``` is inline\n") == ["prose"]
    assert kinds("    ```\n    indented code\n") == ["prose"]


def test_code_in_a_list_keeps_the_list_going() -> None:
    text = "1. Install:\n\n   ```sh\n   pip install x\n   ```\n\n   Then wait.\n\n2. Run\n"
    first, code, rest = split(text)
    assert code.shown == "pip install x"
    assert first.shown == "1. Install:\n\n"
    assert rest.shown == "\nThen wait.\n\n2. Run\n"


def test_table_takes_its_header_along() -> None:
    text = "Prices:\n| a | b |\n|---|--:|\n| 1 | 2 |\n| 3 | 4 |\n\nAfter.\n"
    prose, table, after = split(text)
    assert prose.text == "Prices:\n"
    assert table.kind is Kind.TABLE
    assert table.text == "| a | b |\n|---|--:|\n| 1 | 2 |\n| 3 | 4 |\n"
    assert after.text == "\nAfter.\n"


def test_no_table_without_as_many_columns() -> None:
    assert kinds("a | b\n---\n") == ["prose"]
    assert kinds("| a | b |\n|---|\n") == ["prose"]


def test_cells_of_a_row() -> None:
    assert cells(r"| a \| b | `c|d` | |") == ["a | b", "`c|d`", ""]
    assert cells("a | b") == ["a", "b"]
    assert cells("") == [""]


def test_thinking_at_the_beginning_only() -> None:
    thinking, answer = split("\n<think>\nHm, <b>.\n</think>\n\nAnswer <think> no.\n")
    assert thinking.kind is Kind.THINKING
    assert thinking.shown == "Hm, <b>."
    assert answer.kind is Kind.PROSE
    one_line = split("<think>short</think>Answer")
    assert [s.shown for s in one_line] == ["short", "Answer"]
    long_line = split("<think>" + "y " * 2_000 + "</think>Answer ```x```")
    assert long_line[1].shown == "Answer ```x```"


def test_prose_is_cut_at_block_ends_near_the_target() -> None:
    paragraph = "word " * 100 + "\n\n"
    segments = split(paragraph * 60)
    assert len(segments) > 5
    for segment in segments[:-1]:
        assert TARGET_CHARS <= len(segment.text) <= TARGET_CHARS + len(paragraph)
        assert segment.text.endswith("\n\n")


def test_long_lists_are_cut_at_items_and_keep_their_numbers() -> None:
    text = "".join(f"{number}. item number {number} of many\n" for number in range(1, 800))
    segments = split(text)
    assert len(segments) > 3
    assert all(segment.text.split(". ")[0].isdigit() for segment in segments)


def test_a_line_without_end_is_cut_at_a_space() -> None:
    segments = split("word " * 10_000)
    assert all(len(segment.text) <= HARD_CHARS for segment in segments)
    assert all(segment.text.endswith(" ") for segment in segments)
    assert all(len(segment.text) <= HARD_CHARS for segment in split("x" * 50_000))


def test_cost_of_a_feed_follows_the_tail() -> None:
    """Twenty times the text costs about twenty times the time, not four hundred times."""

    def spent(repeats: int) -> float:
        text = "A paragraph of some words, one of many.\n\n" * repeats
        segmenter = Segmenter()
        began = time.perf_counter()
        for start in range(0, len(text), 16):
            segmenter.feed(text[start : start + 16])
            segmenter.segment(segmenter.frozen_count)
        return time.perf_counter() - began

    short = min(spent(200) for _ in range(3))
    long = min(spent(4_000) for _ in range(2))
    assert long < 20 * short * 4
