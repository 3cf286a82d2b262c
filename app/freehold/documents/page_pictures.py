"""Pictures of pages for the reader: drawn in a confined process, kept for the next look."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from freehold.documents import records
from freehold.documents.copies import Copies
from freehold.documents.parsing import draw_page
from freehold.documents.recognition import RecognisedWord, marks
from freehold.documents.records import StoredDocument
from freehold.documents.values import PageSpan, PictureTask
from freehold.errors import AppError
from freehold.storage.connection import Database

MIN_WIDTH: Final = 200
MAX_WIDTH: Final = 2400
DRAWN_AT_ONCE: Final = 2
_words = msgspec.json.Decoder(tuple[RecognisedWord, ...])


class PagePictures:
    """Draws pages of stored documents with characters boxed."""

    def __init__(self, database: Database, copies: Copies) -> None:
        self._database = database
        self._copies = copies
        self._turn = asyncio.Semaphore(DRAWN_AT_ONCE)

    async def draw(self, document_id: str, page: int, start: int, end: int, width: int) -> bytes:
        """Return a page as PNG, characters `start` up to `end` of the document boxed.

        Raises: AppError `not_found`, `invalid_request`, or `conflict` when the file has changed
        since it was read.
        """
        width = max(MIN_WIDTH, min(width, MAX_WIDTH))
        document, words, is_changed = await self._database.read(
            partial(_look, document_id=document_id, page=page)
        )
        if document is None:
            raise AppError("not_found", "That document is not here.", "Add its file again.")
        span = next((span for span in document.pages if span.number == page), None)
        if not document.file or document.kind not in ("pdf", "image") or span is None:
            raise AppError(
                "invalid_request",
                f"“{document.name}” has no picture of that page.",
                "Read its text.",
            )
        if is_changed is not None and await asyncio.to_thread(is_changed):
            raise AppError(
                "conflict",
                f"“{document.name}” was changed or moved since it was read.",
                "Its collection reads it again; look then.",
                retryable=True,
            )
        task = plan_picture(span, words, start, end, width)
        key = f"{page}-{width}-{task.start}-{task.end}-{bool(task.marks):d}"
        if task.marks:
            key += f"-{start}-{end}"
        known = await asyncio.to_thread(self._copies.picture, document_id, key)
        if known is not None:
            return known
        async with self._turn:
            png = await asyncio.to_thread(draw_page, Path(document.file), task, name=document.name)
        await asyncio.to_thread(self._copies.keep_picture, document_id, key, png)
        return png


def plan_picture(span: PageSpan, words: str, start: int, end: int, width: int) -> PictureTask:
    """Return what to draw: the part of the wanted characters that is on this page."""
    first = max(start, span.start) - span.start
    last = min(end, span.end) - span.start
    if last <= first:
        return PictureTask(span.number, width)
    if words:  # recognised by tesseract: the file itself has no characters
        return PictureTask(span.number, width, marks=marks(_words.decode(words), first, last))
    return PictureTask(span.number, width, first, last)


def _look(connection: Any, document_id: str, page: int) -> tuple[StoredDocument | None, str, Any]:
    """Return a document, its page's recognised words, and how to see whether it has changed."""
    document = records.find(connection, document_id)
    if document is None:
        return None, "", None
    words = records.words_of(connection, document_id, page)
    row = connection.execute(
        "SELECT path, size_bytes, modified_ns FROM collection_file WHERE document_id = ?",
        (document_id,),
    ).fetchone()
    return document, words, None if row is None else partial(_has_changed, *row)


def _has_changed(path: str, size_bytes: int, modified_ns: int) -> bool:
    try:
        status = Path(path).stat()
    except OSError:
        return True
    return (status.st_size, status.st_mtime_ns) != (size_bytes, modified_ns)
