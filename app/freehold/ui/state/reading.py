"""A document that is read: where the reader is, what is shown of it, what is marked."""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QImage

from freehold.errors import AppError
from freehold.ui.state.session import Session
from freehold.ui.tasks import spawn
from freehold.wire_documents import DocumentInfo, DocumentText, TextPage
from freehold.wire_grounds import DocumentCitation

VIEW_CHARACTERS: Final = 24_000  # of a text without short pages, so much is shown at a time
SEARCHED_AT_ONCE: Final = 1_000_000
MOST_HITS: Final = 1_000
KEPT_PICTURES: Final = 6
ZOOMS: Final = (0.5, 0.67, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0)
WIDEST: Final = 2_400
NARROWEST: Final = 200

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Shown:
    """What the reader shows: characters `start` up to `end`, and what of them is marked."""

    start: int
    end: int
    text: str
    mark: Span | None


class Reading(QObject):
    """View-model of the reader.

    Signals:
        opened: another document is shown.
        moved: page, mark, citation or search hit changed.
        text_came(Shown): the text of this place is there.
        picture_came(QImage): the picture of this page is there, at the width asked for.
        searched: hits changed.
        failed(AppError): something could not be shown.
        pictures_failed(AppError): the page cannot be shown as it looks; its text is shown instead.
    """

    opened = Signal()
    moved = Signal()
    text_came = Signal(object)
    picture_came = Signal(object)
    searched = Signal()
    failed = Signal(object)
    pictures_failed = Signal(object)

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.info: DocumentInfo | None = None
        self.citations: tuple[DocumentCitation, ...] = ()
        self.at = 0  # which citation
        self.pages: tuple[TextPage, ...] = ()
        self.page = 1
        self.mark: Span | None = None
        self.as_text = False
        self.zoom = 1.0
        self.hits: tuple[Span, ...] = ()
        self.hit = 0
        self.query = ""
        self.loading = False
        self.characters = 0
        self._position = 0
        self._width = 0
        self._pictures: OrderedDict[tuple[str, int, Span | None, int], QImage] = OrderedDict()
        self._turn = 0

    # --- what is known ---------------------------------------------------------------------------

    @property
    def shows_pictures(self) -> bool:
        """Return whether pages are shown as they look."""
        return self.info is not None and self.info.has_pages and not self.as_text

    @property
    def page_count(self) -> int:
        """Return how many pages can be turned to."""
        return max(1, len(self.pages) or (self.info.page_count if self.info else 1))

    @property
    def page_title(self) -> str:
        """Return the name of the page, such as a sheet's."""
        return next((page.label for page in self.pages if page.number == self.page), "")

    @property
    def citation(self) -> DocumentCitation | None:
        """Return the citation that is shown."""
        return self.citations[self.at] if self.citations else None

    # --- opening ---------------------------------------------------------------------------------

    def open(self, document_id: str) -> None:
        """Show a document from its beginning."""
        self.citations, self.at = (), 0
        self._go(document_id, 0, None)

    def open_citations(self, citations: Sequence[DocumentCitation], number: int) -> None:
        """Show the citation of this number, with the answer's others beside it."""
        self.citations = tuple(citations)
        self.at = next((i for i, c in enumerate(citations) if c.number == number), 0)
        self._show_citation()

    def step_citation(self, step: int) -> None:
        """Show the next or the previous citation."""
        if self.citations:
            self.at = (self.at + step) % len(self.citations)
            self._show_citation()

    def close(self) -> None:
        """Forget what is shown."""
        self._turn += 1
        self.info, self.citations, self.pages = None, (), ()
        self.hits, self.query, self.mark = (), "", None
        self._pictures.clear()

    def _show_citation(self) -> None:
        citation = self.citations[self.at]
        self._go(citation.document_id, citation.start, (citation.start, citation.end))

    def _go(self, document_id: str, position: int, mark: Span | None) -> None:
        self._turn += 1
        self.mark = mark
        spawn(self, self._open(self._turn, document_id, position), failed=self._fail)

    async def _open(self, turn: int, document_id: str, position: int) -> None:
        if self.info is None or self.info.id != document_id:
            self.loading = True
            documents = self._session.client.documents
            info = await documents.get(document_id)
            outline = await documents.text(document_id, start=0, end=0)
            if turn != self._turn:
                return
            self.info, self.pages, self.characters = info, outline.pages, outline.characters
            self.hits, self.query, self.hit = (), "", 0
            self.as_text = False
            self.opened.emit()
        if turn == self._turn:
            self._move_to(position)

    def _fail(self, error: AppError) -> None:
        self.loading = False
        if error.code == "not_found":
            error = AppError(
                "not_found",
                "This document is not here any more.",
                "It was deleted; add its file again to see it.",
            )
        self.failed.emit(error)

    # --- moving ----------------------------------------------------------------------------------

    def go_to_page(self, number: int) -> None:
        """Turn to a page."""
        number = max(1, min(number, self.page_count))
        start = next((page.start for page in self.pages if page.number == number), 0)
        self.mark = None
        self._turn += 1
        self._move_to(start, number)

    def step_page(self, step: int) -> None:
        """Turn a page, or go on in a text that has none."""
        if self.shows_pictures:
            self.go_to_page(self.page + step)
            return
        start, end = view_range(self.pages, self._position, self.characters)
        target = end if step > 0 else start - 1
        if 0 <= target < self.characters:
            self.mark = None
            self._turn += 1
            self._move_to(target)

    def show_as_text(self, as_text: bool) -> None:
        """Show the text, or the page as it looks."""
        self.as_text = as_text
        self._turn += 1
        self._move_to(self._position, self.page)

    def fit_width(self, pixels: int) -> None:
        """Draw pages for a view of so many pixels."""
        if pixels >= NARROWEST and abs(pixels - self._width) > 8:
            self._width = pixels
            self._draw()

    def change_zoom(self, step: int) -> None:
        """Show pages larger or smaller."""
        nearest = min(range(len(ZOOMS)), key=lambda i: abs(ZOOMS[i] - self.zoom))
        self.zoom = ZOOMS[max(0, min(nearest + step, len(ZOOMS) - 1))]
        self.moved.emit()
        self._draw()

    def _move_to(self, position: int, page: int | None = None) -> None:
        self._position = position
        self.page = page if page is not None else page_of(self.pages, position)
        self.loading = True
        self.moved.emit()
        if self.shows_pictures:
            self._draw()
        else:
            spawn(self, self._read_text(self._turn), failed=self._fail)

    async def _read_text(self, turn: int) -> None:
        assert self.info is not None
        start, end = view_range(self.pages, self._position, self.characters)
        if self.mark is not None:  # the sentence is seen whole
            start, end = min(start, self.mark[0]), max(end, self.mark[1])
        found: DocumentText = await self._session.client.documents.text(
            self.info.id, start=start, end=end
        )
        if turn == self._turn:
            self.loading = False
            self.text_came.emit(Shown(found.start, found.end, found.text, self.mark))

    # --- pictures --------------------------------------------------------------------------------

    def _draw(self) -> None:
        if self.shows_pictures and self._width:
            spawn(self, self._read_picture(self._turn), failed=self._fail_picture)

    async def _read_picture(self, turn: int) -> None:
        assert self.info is not None
        width = self._wanted_width()
        mark = self.mark if self.mark is not None and self._is_on_page(self.mark) else None
        key = (self.info.id, self.page, mark, width)
        picture = self._pictures.get(key)
        if picture is None:
            start, end = mark or (0, 0)
            content = await self._session.client.documents.page_image(
                self.info.id, self.page, start=start, end=end, width=width
            )
            picture = await asyncio.to_thread(QImage.fromData, content)
            if picture.isNull():
                raise AppError(
                    "invalid_document",
                    f"Page {key[1]} cannot be shown as a picture.",
                    "Its text can still be read: press “Text”.",
                )
            self._pictures[key] = picture
            while len(self._pictures) > KEPT_PICTURES:
                self._pictures.popitem(last=False)
        else:
            self._pictures.move_to_end(key)
        if turn == self._turn and key[1] == self.page and width == self._wanted_width():
            self.loading = False
            self.picture_came.emit(picture)

    def _fail_picture(self, error: AppError) -> None:
        """Show the text where the page cannot be drawn: the proof must be seen either way."""
        if error.code == "not_found" or self.info is None:
            self._fail(error)
            return
        self.show_as_text(True)
        self.pictures_failed.emit(error)

    def _wanted_width(self) -> int:
        return max(NARROWEST, min(WIDEST, round(self._width * self.zoom)))

    def _is_on_page(self, span: Span) -> bool:
        page = next((page for page in self.pages if page.number == self.page), None)
        return page is None or (span[0] < page.end and span[1] > page.start)

    def mark_share(self, picture: QImage) -> float | None:
        """Return how far down the page the mark is: as the picture says, or by its text."""
        told = marked_share(picture)
        if told is not None:
            return told
        page = next((page for page in self.pages if page.number == self.page), None)
        if self.mark is None or page is None or page.end <= page.start:
            return None
        if not self._is_on_page(self.mark):
            return None
        middle = (max(self.mark[0], page.start) + min(self.mark[1], page.end)) / 2
        return (middle - page.start) / (page.end - page.start)

    # --- searching -------------------------------------------------------------------------------

    def search(self, query: str) -> None:
        """Look for words in the whole document."""
        self.query = query.strip()
        if not self.query:
            self.hits, self.hit = (), 0
            self.searched.emit()
        elif self.info is not None:
            spawn(self, self._search(self.info.id, self.query), failed=self._fail)

    def step_hit(self, step: int) -> None:
        """Show the next or the previous place that was found."""
        if self.hits:
            self.hit = (self.hit + step) % len(self.hits)
            self._show_hit()

    async def _search(self, document_id: str, query: str) -> None:
        hits: list[Span] = []
        overlap = len(query)
        for start in range(0, self.characters, SEARCHED_AT_ONCE):
            found = await self._session.client.documents.text(
                document_id, start=start, end=start + SEARCHED_AT_ONCE + overlap
            )
            hits += await asyncio.to_thread(find_all, found.text, query, found.start)
            if query != self.query or self.info is None or self.info.id != document_id:
                return  # other words were typed meanwhile
            if len(hits) >= MOST_HITS:
                break
        unique = tuple(dict.fromkeys(hits))[:MOST_HITS]
        self.hits = unique
        ahead = [i for i, hit in enumerate(unique) if hit[0] >= self._position]
        self.hit = ahead[0] if ahead else 0
        self.searched.emit()
        if unique:
            self._show_hit()

    def _show_hit(self) -> None:
        assert self.info is not None
        start, end = self.hits[self.hit]
        self.searched.emit()
        self._go(self.info.id, start, (start, end))


def marked_share(picture: QImage) -> float | None:
    """Return the middle of the mark as the server wrote it into the picture."""
    try:
        top, bottom = map(float, picture.text("mark").split())
    except ValueError:
        return None
    return (top + bottom) / 2 if 0 <= top <= bottom <= 1 else None


def view_range(pages: Sequence[TextPage], position: int, characters: int) -> Span:
    """Return which characters are shown around a position: its page, or a part of a long one."""
    page = next((p for p in pages if p.start <= position < p.end), None)
    low, high = (page.start, page.end) if page is not None else (0, characters)
    if high - low <= VIEW_CHARACTERS:
        return low, high
    start = low + (position - low) // VIEW_CHARACTERS * VIEW_CHARACTERS
    return start, min(start + VIEW_CHARACTERS, high)


def page_of(pages: Sequence[TextPage], position: int) -> int:
    """Return the number of the page a character stands on."""
    found = [page.number for page in pages if page.start <= position]
    return found[-1] if found else 1


def find_all(text: str, query: str, offset: int) -> list[Span]:
    """Return where words stand in a text, however they are written and wrapped."""
    pattern = r"\s+".join(re.escape(word) for word in query.split())
    spans = []
    for match in re.finditer(pattern, text, re.I):
        spans.append((offset + match.start(), offset + match.end()))
        if len(spans) >= MOST_HITS:
            break
    return spans
