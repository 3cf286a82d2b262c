"""Puts a document's text together, page by page, within the limits."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from freehold.documents import limits, refusals
from freehold.documents.values import Kind, PageSpan, PageWord, ParsedDocument

_UNWANTED: Final = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Source:
    """A file to be read: opened, named as shown, with the place to tell progress."""

    file: BinaryIO
    name: str
    bytes: int
    report: Callable[[int, int], None]


@dataclass(slots=True)
class Composer:
    """Collects blocks of Markdown; a blank line stands between two of them."""

    name: str
    page_word: PageWord = "page"
    notes: list[str] = field(default_factory=list)
    _blocks: list[str] = field(default_factory=list)
    _length: int = 0
    _pages: list[tuple[int, int, str]] = field(default_factory=list)

    def begin_page(self, number: int, label: str = "") -> None:
        """Begin a page at the present end of the text."""
        self._pages.append((number, self._length, label))

    def add(self, block: str) -> None:
        """Add a block of text; an empty one is left out."""
        text = _UNWANTED.sub("", block).strip("\n")
        if text.strip():
            self.add_exact(text + "\n\n")

    def add_exact(self, text: str) -> None:
        """Add text as it is.

        Raises: AppError `payload_too_large` beyond the limit of characters.
        """
        self._length += len(text)
        if self._length > limits.MAX_CHARACTERS:
            raise refusals.too_large(
                self.name, f"it holds more than {limits.MAX_CHARACTERS:,} characters"
            )
        self._blocks.append(text)

    def add_heading(self, level: int, text: str) -> None:
        """Add a heading of level 1 to 6."""
        line = " ".join(text.split())
        if line:
            self.add(f"{'#' * min(6, max(1, level))} {line}")

    def add_table(self, rows: Iterable[Sequence[str]]) -> None:
        """Add a table; its first row is taken for the header."""
        self.add(to_table(rows))

    def finish(self, kind: Kind, *, page_count: int | None = None) -> ParsedDocument:
        """Return the document.

        Raises: AppError `invalid_document` when there is no text and no scan to offer.
        """
        text = "".join(self._blocks)
        starts = self._pages or [(1, 0, "")]
        ends = [start for _, start, _ in starts[1:]] + [len(text)]
        pages = tuple(
            PageSpan(number, start if index else 0, end, label)
            for index, ((number, start, label), end) in enumerate(zip(starts, ends, strict=True))
        )
        if not text.strip() and kind not in ("pdf", "image"):
            raise refusals.damaged(self.name, "there is no text in it")
        return ParsedDocument(
            name=self.name,
            kind=kind,
            text=text,
            pages=pages,
            page_word=self.page_word,
            page_count=page_count or len(pages),
            notes=tuple(self.notes),
        )


def to_table(rows: Iterable[Sequence[str]]) -> str:
    """Return rows as a Markdown table, empty rows and empty columns at the end left out."""
    cleaned = [[to_cell(cell) for cell in row] for row in rows]
    cleaned = [row for row in cleaned if any(row)]
    width = max((_used(row) for row in cleaned), default=0)
    if width == 0:
        return ""
    lines = [_line(row, width) for row in cleaned]
    lines.insert(1, "|" + " --- |" * width)
    return "\n".join(lines)


def to_cell(text: str) -> str:
    """Return the text of one cell, on one line."""
    return " ".join(text.split()).replace("|", "\\|")


def _used(row: Sequence[str]) -> int:
    return max((index for index, cell in enumerate(row, start=1) if cell), default=0)


def _line(row: Sequence[str], width: int) -> str:
    cells = [*row[:width], *[""] * (width - len(row))]
    return "| " + " | ".join(cells) + " |"
