"""Cuts a document's text into passages of about 500 tokens, at the borders of its structure.

Passages lie side by side: put together they are the text, so nothing is lost or found twice.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from freehold.documents.values import PageSpan

TARGET_TOKENS: Final = 500
# A heading begins a new passage once the one before has this share of its size.
HEADING_SHARE: Final = 0.35
MAX_HEADING: Final = 200

_BLOCK: Final = re.compile(r"\n[ \t]*\n+")
_HEADING: Final = re.compile(r"(#{1,6}) (.+)")
_SENTENCE: Final = re.compile(r"(?<=[.!?…。！？])[\"'»”)\]]*\s+|\n")
_SPACE: Final = re.compile(r"\s+")


class Passage(msgspec.Struct, frozen=True, kw_only=True):
    """Characters `start` up to `end` of a text, the pages they are on, the headings above them."""

    ordinal: int
    start: int
    end: int
    first_page: int
    last_page: int
    heading: str
    text: str


def estimate_tokens(text: str) -> int:
    """Return about how many tokens a text has; letters outside ASCII cost more."""
    ascii_length = len(text.encode("ascii", "ignore"))
    return max(1, round(ascii_length / 4 + (len(text) - ascii_length) / 2.4)) if text else 0


def cut(
    text: str, pages: Sequence[PageSpan] = (), *, target_tokens: int = TARGET_TOKENS
) -> tuple[Passage, ...]:
    """Return the passages of a text in order; together they are the whole text."""
    starts = [page.start for page in pages]
    passages: list[Passage] = []
    above = _Headings()
    for start, end in _ranges(text, max(1, target_tokens)):
        piece = text[start:end]
        heading = above.path_at(piece)
        passages.append(
            Passage(
                ordinal=len(passages),
                start=start,
                end=end,
                first_page=_page(pages, starts, start),
                last_page=_page(pages, starts, max(start, start + len(piece.rstrip()) - 1)),
                heading=heading,
                text=piece,
            )
        )
    return tuple(passages)


class _Headings:
    """The headings a passage stands under: those at its beginning included."""

    def __init__(self) -> None:
        self._levels: dict[int, str] = {}

    def path_at(self, piece: str) -> str:
        found = list(_headings_in(piece))
        leading = len(piece) - len(piece.lstrip())
        if found and found[0][0] == leading:
            self._note(*found.pop(0)[1:])
        path = " › ".join(self._levels[level] for level in sorted(self._levels))
        for _, level, words in found:
            self._note(level, words)
        return path[-MAX_HEADING:]

    def _note(self, level: int, words: str) -> None:
        self._levels = {k: v for k, v in self._levels.items() if k < level}
        self._levels[level] = words[:MAX_HEADING]


def _headings_in(piece: str) -> Iterator[tuple[int, int, str]]:
    at = 0
    fenced = False
    for line in piece.splitlines(keepends=True):
        if line.startswith("```"):
            fenced = not fenced
        match = _HEADING.match(line)
        if match and not fenced:
            yield at, len(match[1]), match[2].strip()
        at += len(line)


def _ranges(text: str, target: int) -> Iterator[tuple[int, int]]:
    """Yield the ranges of passages: whole blocks together, long blocks cut at sentences."""
    begin = 0
    tokens = 0
    for start, end in _blocks(text):
        size = estimate_tokens(text[start:end])
        is_heading = bool(_HEADING.match(text, start))
        full = tokens + size > target
        if start > begin and (full or (is_heading and tokens >= target * HEADING_SHARE)):
            yield begin, start
            begin, tokens = start, 0
        tokens += size
        if tokens <= target:
            continue
        *whole, (begin, last) = _pieces(text, begin, end, target)
        yield from whole
        tokens = estimate_tokens(text[begin:last])
    if begin < len(text):
        yield begin, len(text)


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    """Yield the ranges of blocks, the blank lines after each included."""
    start = 0
    for match in _BLOCK.finditer(text):
        yield start, match.end()
        start = match.end()
    if start < len(text):
        yield start, len(text)


def _pieces(text: str, start: int, end: int, target: int) -> list[tuple[int, int]]:
    """Return ranges of at most the target: ends of lines and sentences first, then of words."""
    pieces: list[tuple[int, int]] = []
    begin = start
    tokens = 0
    for unit_start, unit_end in _units(text, start, end, target):
        size = estimate_tokens(text[unit_start:unit_end])
        if unit_start > begin and tokens + size > target:
            pieces.append((begin, unit_start))
            begin, tokens = unit_start, 0
        tokens += size
    pieces.append((begin, end))
    return pieces


def _units(text: str, start: int, end: int, target: int) -> Iterator[tuple[int, int]]:
    begin = start
    ends = [match.end() for match in _SENTENCE.finditer(text, start, end)]
    for stop in [*ends, end]:
        # No text this long fits; counting it each time would take the square of its length.
        while stop - begin > 4 * target + 4 or estimate_tokens(text[begin:stop]) > target:
            middle = _word_end(text, begin, min(stop, begin + 2 * target))
            yield begin, middle
            begin = middle
        if stop > begin:
            yield begin, stop
            begin = stop


def _word_end(text: str, begin: int, stop: int) -> int:
    ends = [space.end() for space in _SPACE.finditer(text, begin + (stop - begin) // 2, stop)]
    return ends[-1] if ends else max(stop, begin + 1)


def _page(pages: Sequence[PageSpan], starts: Sequence[int], at: int) -> int:
    index = bisect_right(starts, at) - 1
    return pages[index].number if index >= 0 else 1
