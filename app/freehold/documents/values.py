"""What a file becomes: text in Markdown, where its pages are, what a person should know of it."""

from __future__ import annotations

from typing import Literal

import msgspec

Kind = Literal[
    "pdf",
    "docx",
    "pptx",
    "xlsx",
    "csv",
    "odt",
    "ods",
    "odp",
    "html",
    "epub",
    "eml",
    "markdown",
    "text",
    "code",
    "image",
]
PageWord = Literal["page", "slide", "sheet", "chapter", "part"]


class PageSpan(msgspec.Struct, frozen=True):
    """Characters `start` up to `end` of the text are page `number`; `label` names a sheet."""

    number: int
    start: int
    end: int
    label: str = ""


class ParsedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A file's text as Markdown.

    pages: spans in order that cover the text; one span where a format has no pages.
    page_count: pages of the file, also those that were not read.
    notes: sentences for the person about what was left out or guessed.
    scan_pages: pages on which there is hardly any text, if the file looks like a scan.
    """

    name: str
    kind: Kind
    text: str
    pages: tuple[PageSpan, ...]
    page_word: PageWord = "page"
    page_count: int = 1
    notes: tuple[str, ...] = ()
    scan_pages: int = 0

    @property
    def characters_a_page(self) -> float:
        """Return the mean number of visible characters on a page that was read."""
        return len("".join(self.text.split())) / max(1, len(self.pages))


class CharacterBox(msgspec.Struct, frozen=True, array_like=True):
    """Where one character of a page stands, in PDF points from the lower left corner."""

    left: float
    bottom: float
    right: float
    top: float


class PageBoxes(msgspec.Struct, frozen=True, kw_only=True):
    """The boxes of one page: one entry per character of its span, None for added line ends."""

    number: int
    width: float
    height: float
    boxes: tuple[CharacterBox | None, ...]


class BoxesTask(msgspec.Struct, frozen=True, tag="boxes"):
    """Asks where the characters of a PDF's page stand."""

    page: int


class PictureTask(msgspec.Struct, frozen=True, tag="picture"):
    """Asks for a picture of a page, `width` pixels wide, characters `start` to `end` boxed.

    start, end: characters of the page's own text. marks: more boxes, as shares of width and
    height from the upper left corner. grey: for recognising text, not for people.
    """

    page: int
    width: int
    start: int = 0
    end: int = 0
    marks: tuple[tuple[float, float, float, float], ...] = ()
    grey: bool = False


Task = BoxesTask | PictureTask


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """Pages read so far, told by the parser."""

    done: int
    total: int


class Parsed(msgspec.Struct, frozen=True, tag="parsed"):
    """The parser's result."""

    document: ParsedDocument


class Boxed(msgspec.Struct, frozen=True, tag="boxed"):
    """The parser's answer to a question for one page's boxes."""

    page: PageBoxes


class Pictured(msgspec.Struct, frozen=True, tag="pictured"):
    """The parser's answer to a question for a picture (PNG)."""

    png: bytes


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """Why the file was not read, as an `AppError`'s data."""

    error: dict[str, object]


ParserMessage = Progress | Parsed | Boxed | Pictured | Refused
