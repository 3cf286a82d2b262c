"""The text of scans and pictures, recognised by tesseract where it is installed.

Each page is drawn by a parser process and read by a confined tesseract; what it found is kept with
the places of its words, so a citation can be boxed on the page.
"""

from __future__ import annotations

import contextlib
import csv
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from freehold.documents import refusals
from freehold.documents.composer import Composer
from freehold.documents.parsing import draw_page
from freehold.documents.records import StoredDocument
from freehold.documents.values import ParsedDocument, PictureTask
from freehold.errors import AppError

PAGE_WIDTH: Final = 2000
PAGE_S: Final = 90.0
MIN_CONFIDENCE: Final = 20.0
MAX_OUTPUT_BYTES: Final = 32 << 20
PREFERRED: Final = ("eng", "rus")
NOTE: Final = "Its text was recognised by tesseract from pictures and may hold errors."

Tell = Callable[[int, int], None]


class RecognisedWord(msgspec.Struct, frozen=True, array_like=True):
    """A word at characters `start` to `end` of its page's text; its box in shares of the page."""

    start: int
    end: int
    left: float
    top: float
    right: float
    bottom: float


class RecognisedPage(msgspec.Struct, frozen=True):
    """What a page says, and where."""

    text: str
    words: tuple[RecognisedWord, ...]


class Tesseract:
    """The program, if it is installed; looked for once."""

    def __init__(self, program: str | None = None) -> None:
        self.program = program or shutil.which("tesseract")
        self._languages: tuple[str, ...] | None = None

    @property
    def languages(self) -> tuple[str, ...]:
        """Return the languages it knows; none when it is not installed. Blocks the first time."""
        if self._languages is None:
            self._languages = self._ask_languages()
        return self._languages

    def read(self, png: bytes, name: str) -> RecognisedPage:
        """Return the text of a picture; blocks while another process reads it.

        Raises: AppError.
        """
        used = [language for language in PREFERRED if language in self.languages]
        chosen = "+".join(used or self.languages[:1])
        assert self.program is not None
        try:
            done = subprocess.run(
                [
                    *(sys.executable, "-I", "-m", "freehold.documents.tesseract_worker"),
                    *(self.program, chosen),
                ],
                input=png,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={"PYTHONDONTWRITEBYTECODE": "1"},
                cwd="/",
                timeout=PAGE_S,
                start_new_session=True,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise refusals.damaged(
                name, f"recognising a page took more than {PAGE_S:.0f} seconds"
            ) from error
        if done.returncode != 0 or len(done.stdout) > MAX_OUTPUT_BYTES:
            raise refusals.damaged(name, "tesseract could not read a page")
        return parse_tsv(done.stdout.decode("utf-8", "replace"))

    def _ask_languages(self) -> tuple[str, ...]:
        if self.program is None:
            return ()
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            done = subprocess.run(
                [self.program, "--list-langs"],
                capture_output=True,
                text=True,
                timeout=10,
                check=True,
            )
            return tuple(
                line.strip()
                for line in done.stdout.splitlines()
                if line.strip().replace("_", "").isalnum() and line.strip() != "osd"
            )
        return ()


def recognise(
    tesseract: Tesseract,
    document: StoredDocument,
    tell: Tell,
    is_wanted: Callable[[], bool] = lambda: True,
) -> tuple[ParsedDocument, dict[int, RecognisedPage]]:
    """Return a scan's text by pages; blocks. Pages that cannot be read are named in its notes.

    Raises: AppError `not_supported` without tesseract, or `invalid_document`.
    """
    if not tesseract.languages:
        raise AppError("not_supported", "tesseract is not installed.", install_hint())
    composer = Composer(document.name, page_word=document.page_word)
    pages: dict[int, RecognisedPage] = {}
    unread = []
    for done, span in enumerate(document.pages):
        if not is_wanted():
            raise AppError("cancelled", f"Reading “{document.name}” was ended.", "Begin again.")
        tell(done, len(document.pages))
        composer.begin_page(span.number)
        try:
            task = PictureTask(span.number, PAGE_WIDTH, grey=True)
            png = draw_page(Path(document.file), task, name=document.name)
            page = tesseract.read(png, document.name)
        except AppError as error:
            if error.code in ("not_found", "no_permission"):
                raise
            unread.append(span.number)
            continue
        pages[span.number] = page
        composer.add_exact(page.text)
    if len(unread) == len(document.pages):
        raise refusals.damaged(document.name, "none of its pages could be recognised")
    if not any(page.text.strip() for page in pages.values()):
        raise refusals.damaged(document.name, "tesseract found no text on its pages")
    if unread:
        composer.notes.append(f"Pages that could not be read: {', '.join(map(str, unread[:20]))}.")
    composer.notes[:0] = [*document.notes, NOTE]
    return composer.finish(document.kind, page_count=document.page_count), pages


def parse_tsv(table: str) -> RecognisedPage:
    """Return the words of tesseract's table as lines and paragraphs, each word with its box."""
    text: list[str] = []
    words: list[RecognisedWord] = []
    at = 0
    last: tuple[str, ...] | None = None
    width = height = 1.0
    for row in csv.DictReader(table.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE):
        try:
            left, top, wide, high = (float(row[key]) for key in ("left", "top", "width", "height"))
            if row["level"] == "1":
                width, height = max(1.0, wide), max(1.0, high)
            word = (row["text"] or "").strip()
            if row["level"] != "5" or not word or float(row["conf"]) < MIN_CONFIDENCE:
                continue
            place = (row["block_num"], row["par_num"], row["line_num"])
        except (KeyError, TypeError, ValueError):
            continue
        if last is not None:
            gap = " " if place == last else "\n" if place[:2] == last[:2] else "\n\n"
            text.append(gap)
            at += len(gap)
        last = place
        text.append(word)
        box = (left / width, top / height, (left + wide) / width, (top + high) / height)
        words.append(RecognisedWord(at, at + len(word), *box))
        at += len(word)
    return RecognisedPage("".join(text) + "\n\n" if text else "", tuple(words))


def marks(
    words: Sequence[RecognisedWord], start: int, end: int
) -> tuple[tuple[float, float, float, float], ...]:
    """Return the boxes of the words that characters `start` up to `end` touch."""
    return tuple(
        (word.left, word.top, word.right, word.bottom)
        for word in words
        if word.start < end and word.end > start
    )


def install_hint() -> str:
    """Return how tesseract is installed."""
    return "Install it (`sudo apt install tesseract-ocr tesseract-ocr-rus`), then start Freehold."
