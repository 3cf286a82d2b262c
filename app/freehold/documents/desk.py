"""The loose documents of one server: taken in one by one, kept by what they say, shown again."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from freehold.documents import index, limits, records
from freehold.documents.copies import Copies
from freehold.documents.names import shown_name
from freehold.documents.parsing import parse_file
from freehold.documents.recognition import RecognisedPage, Tesseract, install_hint, recognise
from freehold.documents.records import StoredDocument
from freehold.documents.values import ParsedDocument
from freehold.documents.watched import Watched, error_info
from freehold.errors import AppError, internal
from freehold.storage.connection import Database
from freehold.wire import AnyEvent, Changed
from freehold.wire_documents import DocumentInfo, DocumentText, TextPage

log = logging.getLogger(__name__)

PARSERS_AT_ONCE: Final = 2
TELL_S: Final = 0.25
# What the reader shows as pictures; of other files the text says all, and no copy is kept.
DRAWN: Final = ("pdf", "image")
MAX_TEXT: Final = 2_000_000


class DocumentDesk:
    """Takes files in, says what is known of them, forgets them."""

    def __init__(
        self,
        database: Database,
        copies: Copies,
        tesseract: Tesseract,
        publish: Callable[[AnyEvent], None] = lambda _event: None,
    ) -> None:
        self._database = database
        self._copies = copies
        self._tesseract = tesseract
        self._publish = publish
        self._reading: dict[str, Watched[DocumentInfo]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._turn = asyncio.Semaphore(PARSERS_AT_ONCE)
        self._told_s: dict[str, float] = {}

    async def start(self) -> None:
        """Read again what the end of the last server broke off."""
        known = await self._database.read(records.ids)
        await asyncio.to_thread(self._copies.sweep, known)
        for stored in await self._database.read(records.unfinished):
            path = self._copies.path(stored.id)
            if stored.scan_pages and stored.file:  # it was being recognised
                await self._database.write(partial(records.put_back, document_id=stored.id))
            elif path.is_file():
                self._follow(stored.id, stored.name, self._read(path, stored.id, stored.name))
            else:
                gone = AppError(
                    "interrupted",
                    f"Freehold ended before “{stored.name}” was here.",
                    "Add it again.",
                    detail={"file": stored.name},
                )
                await self._database.write(
                    partial(records.fail, document_id=stored.id, error=error_info(gone))
                )

    # --- taking in

    async def add(self, path: str) -> DocumentInfo:
        """Begin to read the file at a full path; `document` tells how it goes."""
        if not Path(path).is_absolute() or "\0" in path:
            raise AppError("invalid_request", "A full path is needed.", "Begin it with a slash.")
        name = shown_name(Path(path).name)
        document_id = await self._begin(name)
        work = self._copy_and_read(Path(path), document_id, name)
        return self._follow(document_id, name, work)

    async def upload(
        self, name: str, chunks: AsyncIterator[bytes], announced: int | None = None
    ) -> DocumentInfo:
        """Take a file's bytes as they arrive, then begin to read it.

        Raises: AppError `payload_too_large`, `disk_full`.
        """
        shown = shown_name(name)
        document_id = secrets.token_hex(12)
        size = await self._copies.receive(chunks, document_id, shown, announced)
        try:
            await self._begin(shown, document_id=document_id, size=size)
        except BaseException:
            self._copies.remove(document_id)
            raise
        work = self._read(self._copies.path(document_id), document_id, name)
        return self._follow(document_id, shown, work)

    async def recognise(self, document_id: str) -> DocumentInfo:
        """Begin to recognise the text of a scan or picture.

        Raises: AppError `not_found`, `not_supported`, `invalid_request`.
        """
        stored = await self._stored(document_id)
        if not await asyncio.to_thread(lambda: self._tesseract.languages):
            raise AppError("not_supported", "tesseract is not installed.", install_hint())
        if stored.state != "ready" or not stored.scan_pages or not stored.file:
            raise AppError(
                "invalid_request",
                f"“{stored.name}” is not a scan that waits to be read.",
                "Ask about it as it is.",
            )
        await self._database.write(partial(records.begin_again, document_id=document_id))
        return self._follow(document_id, stored.name, self._recognise(stored))

    # --- what is known

    async def documents(self) -> tuple[DocumentInfo, ...]:
        """Return every document that belongs to no collection, the newest first."""
        stored = await self._database.read(records.documents)
        return tuple([await self.info(document) for document in stored])

    async def document(self, document_id: str, wait_s: float = 0.0) -> DocumentInfo:
        """Return a document, waiting a while for the end of its reading.

        Raises: AppError `not_found`.
        """
        watched = self._reading.get(document_id)
        if watched is not None:
            return await watched.wait(wait_s)
        return await self.info(await self._stored(document_id))

    async def text(self, document_id: str, start: int, end: int | None) -> DocumentText:
        """Return characters of a document's text, and its pages.

        Raises: AppError `not_found`, `conflict` while it is read.
        """
        stored = await self._stored(document_id)
        if stored.state != "ready":
            raise AppError(
                "conflict", f"“{stored.name}” has no text yet.", "Wait until it has been read."
            )
        first = max(0, min(start, stored.characters))
        last = stored.characters if end is None else max(first, min(end, stored.characters))
        last = min(last, first + MAX_TEXT)
        text = await self._database.read(
            partial(records.text, document_id=document_id, start=first, end=last)
        )
        return DocumentText(
            document_id=document_id,
            start=first,
            end=last,
            text=text,
            characters=stored.characters,
            page_word=stored.page_word,
            pages=tuple(
                TextPage(number=p.number, start=p.start, end=p.end, label=p.label)
                for p in stored.pages
            ),
        )

    async def info(self, document: StoredDocument) -> DocumentInfo:
        """Return a stored document as the API shows it."""
        watched = self._reading.get(document.id)
        if watched is not None:
            return watched.value
        languages: tuple[str, ...] = ()
        if document.scan_pages:
            languages = await asyncio.to_thread(lambda: self._tesseract.languages)
        return to_info(document, languages)

    async def remove(self, document_id: str) -> None:
        """Forget a document: its copy is deleted, its text, words and vectors overwritten."""
        stored = await self._database.read(partial(records.find, document_id=document_id))
        if stored is not None and stored.collection_id is not None:
            raise AppError(
                "conflict",
                f"“{stored.name}” belongs to a collection.",
                "Take its file or folder out of the collection.",
            )
        await self._end(document_id)
        self._reading.pop(document_id, None)
        removed = await self._database.write(partial(index.remove, document_id=document_id))
        if removed:
            await asyncio.to_thread(self._copies.remove, document_id)
            await self._database.forget()
            self._publish(Changed(topic="documents"))

    async def close(self) -> None:
        """End what is under way."""
        for name in list(self._tasks):
            await self._end(name)

    # --- inside

    async def _stored(self, document_id: str) -> StoredDocument:
        stored = await self._database.read(partial(records.find, document_id=document_id))
        if stored is None:
            raise AppError("not_found", "That document is not here.", "Add its file again.")
        return stored

    async def _begin(self, name: str, *, document_id: str = "", size: int = 0) -> str:
        """Store that a document is about to be read; it is found again after a crash."""
        if await self._database.read(records.count_loose) >= limits.MAX_DOCUMENTS:
            raise AppError(
                "payload_too_large",
                f"{limits.MAX_DOCUMENTS:,} documents are here already; that is the limit.",
                "Remove some, then add this one.",
            )
        document_id = document_id or secrets.token_hex(12)
        await self._database.write(
            partial(records.begin, document_id=document_id, name=name, size_bytes=size)
        )
        return document_id

    def _follow(self, document_id: str, name: str, work: Coroutine[Any, Any, None]) -> DocumentInfo:
        info = DocumentInfo(id=document_id, name=name, phase="reading", added_at=time.time())
        self._reading[document_id] = Watched(info)
        task = asyncio.create_task(self._guard(document_id, work), name=f"document-{document_id}")
        self._tasks[document_id] = task
        task.add_done_callback(lambda _task: self._tasks.pop(document_id, None))
        self._publish(Changed(topic="documents"))
        return info

    async def _end(self, document_id: str) -> None:
        task = self._tasks.get(document_id)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _guard(self, document_id: str, work: Coroutine[Any, Any, None]) -> None:
        """Store how reading ended, whatever happens, and tell."""
        try:
            await work
        except AppError as error:
            await self._failed(document_id, error)
        except Exception:  # a bug must not leave a file that is read for ever
            log.exception("reading a document failed")
            await self._failed(document_id, internal())
        watched = self._reading.pop(document_id)
        stored = await self._database.read(partial(records.find, document_id=document_id))
        if stored is not None:
            watched.set(await self.info(stored))
        self._publish(Changed(topic="document", id=document_id))

    async def _failed(self, document_id: str, error: AppError) -> None:
        stored = await self._database.read(partial(records.find, document_id=document_id))
        if stored is not None and stored.scan_pages and stored.file:
            # Its pages are as they were; only their text could not be had.
            note = f"{error.message} {error.hint}"
            await self._database.write(
                partial(records.put_back, document_id=document_id, note=note)
            )
            return
        await self._database.write(
            partial(records.fail, document_id=document_id, error=error_info(error))
        )
        await asyncio.to_thread(self._copies.remove, document_id)

    async def _copy_and_read(self, path: Path, document_id: str, name: str) -> None:
        async with self._turn:
            size = await asyncio.to_thread(self._copies.take, path, document_id, name)
        copy = self._copies.path(document_id)
        await self._database.write(
            partial(records.put_file, document_id=document_id, file="", size_bytes=size)
        )
        await self._read(copy, document_id, path.name)

    async def _read(self, copy: Path, document_id: str, name: str) -> None:
        async with self._turn:
            with self._telling(document_id) as (tell, is_wanted):
                parsed = await asyncio.to_thread(
                    parse_file, copy, name=name, tell=tell, is_wanted=is_wanted
                )
            prepared = await asyncio.to_thread(index.prepare, parsed)
        size = (await asyncio.to_thread(copy.stat)).st_size
        file = str(copy) if parsed.kind in DRAWN else ""

        def store(connection: Any) -> None:
            index.add(connection, document_id, parsed, prepared)
            records.put_file(connection, document_id, file, size)

        await self._database.write(store)
        if not file:
            await asyncio.to_thread(self._copies.remove, document_id)

    async def _recognise(self, stored: StoredDocument) -> None:
        async with self._turn:
            with self._telling(stored.id) as (tell, is_wanted):
                parsed, pages = await asyncio.to_thread(
                    recognise, self._tesseract, stored, tell, is_wanted
                )
            prepared = await asyncio.to_thread(index.prepare, parsed)
        await self._database.write(partial(_store_recognised, stored, parsed, prepared, pages))
        await asyncio.to_thread(self._copies.forget_pictures, stored.id)

    def _telling(self, document_id: str) -> Telling:
        loop = asyncio.get_running_loop()

        def note(done: int, total: int) -> None:
            watched = self._reading.get(document_id)
            if watched is not None:
                watched.change(done=done, total=total)
            now = loop.time()
            if now - self._told_s.get(document_id, 0.0) >= TELL_S:
                self._told_s[document_id] = now
                self._publish(Changed(topic="document", id=document_id))

        def tell(done: int, total: int) -> None:
            loop.call_soon_threadsafe(note, done, total)

        return Telling(tell)


class Telling:
    """What a thread that reads is given: where to tell progress, and whether to go on."""

    def __init__(self, tell: Callable[[int, int], None]) -> None:
        self._tell = tell
        self._is_wanted = True

    def __enter__(self) -> tuple[Callable[[int, int], None], Callable[[], bool]]:
        return self._tell, lambda: self._is_wanted

    def __exit__(self, *_error: object) -> None:
        self._is_wanted = False


def _store_recognised(
    stored: StoredDocument,
    parsed: ParsedDocument,
    prepared: index.Prepared,
    pages: dict[int, RecognisedPage],
    connection: Any,
) -> None:
    index.add(connection, stored.id, parsed, prepared)
    for number, page in pages.items():
        words = msgspec.json.encode(page.words).decode()
        records.put_words(connection, stored.id, number, words)


def to_info(document: StoredDocument, languages: tuple[str, ...] = ()) -> DocumentInfo:
    """Return a stored document as the API shows it; `languages` are tesseract's."""
    notes = document.notes
    if document.state == "ready" and document.scan_pages:
        notes = (*notes, scan_note(document, languages))
    return DocumentInfo(
        id=document.id,
        name=document.name,
        phase=document.state,
        done=len(document.pages),
        total=document.page_count,
        kind=document.kind if document.state == "ready" else "",
        page_word=document.page_word,
        page_count=document.page_count,
        tokens=document.estimated_tokens,
        notes=notes,
        error=document.error,
        bytes=document.bytes,
        characters=document.characters,
        passages=document.passages,
        embedded=document.embedded,
        has_pages=bool(document.file) and document.kind in DRAWN,
        scan_pages=document.scan_pages,
        collection_id=document.collection_id or "",
        added_at=document.added_at,
    )


def scan_note(document: StoredDocument, languages: tuple[str, ...]) -> str:
    """Return what can be done about a document that is only pictures."""
    pages = "1 page" if document.scan_pages == 1 else f"{document.scan_pages:,} pages"
    what = "A picture without text" if document.kind == "image" else f"A scan: {pages} of pictures"
    if languages:
        return (
            f"{what}. tesseract can recognise its text: {pages}, about"
            f" {max(1, round(document.scan_pages * SECONDS_A_PAGE))} seconds (estimated)."
        )
    return (
        f"{what}. No vision model can look at it here, and tesseract, which could recognise the"
        f" text of {pages}, is not installed."
    )


SECONDS_A_PAGE: Final = 3.0
