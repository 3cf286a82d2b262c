"""PDF through pdfium: text by lines, headings by their size, boxes of characters on request.

The text is built character by character, so the place of each in the text is the place of its box.
"""

from __future__ import annotations

import ctypes
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import pypdfium2 as pdfium
import pypdfium2.raw as raw

from freehold.documents import limits, refusals
from freehold.documents.composer import Composer, Source
from freehold.documents.values import CharacterBox, PageBoxes, ParsedDocument
from freehold.errors import AppError

# A line this much larger than the page's usual text is a heading.
HEADING_RATIO: Final = 1.18
LONGEST_HEADING: Final = 120
MAX_PAGE_CHARACTERS: Final = 400_000
_HYPHEN: Final = "\u0002"  # pdfium's mark for a hyphen at the end of a line


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a page: its characters, their numbers in pdfium, and their size."""

    text: str
    places: tuple[int, ...]
    size: float


def read(source: Source) -> ParsedDocument:
    """Return the text of all pages up to the limit; the notes name what was left out."""
    composer = Composer(source.name)
    document = open_pdf(source)
    try:
        total = len(document)
        if total == 0:
            raise refusals.damaged(source.name, "it has no pages")
        count = min(total, limits.MAX_PAGES)
        if count < total:
            composer.notes.append(
                f"Only the first {count:,} of {total:,} pages are read; that is the limit."
            )
        unread = []
        for index in range(count):
            composer.begin_page(index + 1)
            try:
                lines = _page_lines(document, index)
            except (pdfium.PdfiumError, ValueError, ctypes.ArgumentError):
                unread.append(index + 1)
                lines = []
            composer.add_exact(_joined(lines)[0])
            source.report(index + 1, count)
    finally:
        document.close()
    if len(unread) == count:
        raise refusals.damaged(source.name, "none of its pages can be read")
    if unread:
        shown = ", ".join(map(str, unread[:20])) + (" …" if len(unread) > 20 else "")
        composer.notes.append(f"{len(unread)} damaged pages could not be read: {shown}.")
    parsed = composer.finish("pdf", page_count=total)
    if parsed.characters_a_page >= limits.SCAN_CHARACTERS_A_PAGE:
        return parsed
    return msgspec.structs.replace(parsed, scan_pages=count)


def read_boxes(source: Source, number: int) -> PageBoxes:
    """Return the boxes of the characters of one page, in the order of its text."""
    document = open_pdf(source)
    try:
        if not 1 <= number <= len(document):
            raise AppError(
                "not_found",
                f"“{source.name}” has no page {number}.",
                f"It has {len(document):,} pages.",
            )
        page = document[number - 1]
        text_page = page.get_textpage()
        places = page_characters(text_page)
        boxes = tuple(None if place is None else _box(text_page, place) for place in places)
        width, height = page.get_size()
        return PageBoxes(number=number, width=width, height=height, boxes=boxes)
    except pdfium.PdfiumError as error:
        raise refusals.damaged(source.name, f"page {number} is damaged") from error
    finally:
        document.close()


def page_characters(text_page: Any) -> list[int | None]:
    """Return pdfium's number of each character of a page's text, None for those added."""
    return _joined(_lines_of(text_page))[1]


def open_pdf(source: Source) -> Any:
    """Return pdfium's document.

    Raises: AppError `encrypted_document` or `invalid_document`.
    """
    source.file.seek(0)
    try:
        return pdfium.PdfDocument(source.file)
    except pdfium.PdfiumError as error:
        if "password" in str(error).lower() or getattr(error, "err_code", 0) == (
            raw.FPDF_ERR_PASSWORD
        ):
            raise refusals.encrypted(source.name) from error
        if getattr(error, "err_code", 0) == raw.FPDF_ERR_SECURITY:
            raise refusals.encrypted(source.name) from error
        raise refusals.damaged(source.name, "it is not a whole PDF") from error


def _page_lines(document: Any, index: int) -> list[Line]:
    page = document[index]
    text_page = None
    try:
        text_page = page.get_textpage()
        return _lines_of(text_page)
    finally:
        if text_page is not None:
            text_page.close()
        page.close()


def _lines_of(text_page: Any) -> list[Line]:
    handle = text_page.raw
    count = min(raw.FPDFText_CountChars(handle), MAX_PAGE_CHARACTERS)
    lines: list[Line] = []
    letters: list[str] = []
    places: list[int] = []
    high = 0
    for place in range(count):
        code = raw.FPDFText_GetUnicode(handle, place)
        if 0xD800 <= code < 0xDC00:  # the first half of a character; the second follows
            high = code
            continue
        if 0xDC00 <= code < 0xE000 and high:
            code = 0x10000 + ((high - 0xD800) << 10) + (code - 0xDC00)
        high = 0
        if code in (10, 13):
            if code == 10 and letters:
                lines.append(_line(handle, letters, places))
                letters, places = [], []
            continue
        letter = "-" if chr(code) == _HYPHEN or code == 0xFFFE else chr(code)
        if code < 32 and letter != "-" and code != 9:
            continue
        if 0xD800 <= code < 0xE000 or code == 0xFFFF:
            continue
        letters.append(letter)
        places.append(place)
    if letters:
        lines.append(_line(handle, letters, places))
    return [line for line in lines if line.text.strip()]


def _line(handle: Any, letters: list[str], places: list[int]) -> Line:
    first = next((p for c, p in zip(letters, places, strict=True) if c.strip()), places[0])
    return Line("".join(letters), tuple(places), raw.FPDFText_GetFontSize(handle, first))


def _joined(lines: list[Line]) -> tuple[str, list[int | None]]:
    """Return a page's text as Markdown, and for each of its characters pdfium's number."""
    usual = _usual_size(lines)
    text: list[str] = []
    places: list[int | None] = []

    def add(words: str, numbers: tuple[int, ...] | None = None) -> None:
        text.append(words)
        places.extend(numbers if numbers is not None else [None] * len(words))

    for line in lines:
        is_heading = usual > 0 and line.size >= usual * HEADING_RATIO
        if is_heading and len(line.text) <= LONGEST_HEADING:
            level = 1 if line.size >= usual * 1.6 else 2 if line.size >= usual * 1.35 else 3
            add(("\n" if text else "") + "#" * level + " ")
            add(line.text, line.places)
            add("\n\n")
        else:
            add(line.text, line.places)
            add("\n")
    if text:
        add("\n")
    return "".join(text), places


def _usual_size(lines: list[Line]) -> float:
    weights: Counter[float] = Counter()
    for line in lines:
        weights[round(line.size, 1)] += len(line.text)
    return weights.most_common(1)[0][0] if weights else 0.0


def _box(text_page: Any, place: int) -> CharacterBox | None:
    try:
        left, bottom, right, top = text_page.get_charbox(place)
    except pdfium.PdfiumError:
        return None
    return CharacterBox(left, bottom, right, top)
