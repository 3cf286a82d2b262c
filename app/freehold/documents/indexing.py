"""Indexing collections in the background: one at a time, changed files only, in small steps.

Every step is stored whole (a file's text with the note that it was read), so the work goes on
where it was after the end of the server, however it ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from freehold.documents import collection_records, index, records, sources
from freehold.documents.collection_records import KnownFile
from freehold.documents.copies import Copies
from freehold.documents.embedding import embed_documents
from freehold.documents.parsing import parse_file
from freehold.documents.searching import foreign_to
from freehold.documents.values import ParsedDocument
from freehold.documents.watched import error_info
from freehold.engine.interface import EngineSource
from freehold.errors import AppError, internal
from freehold.storage.connection import Database
from freehold.wire import AnyEvent, Changed
from freehold.wire_documents import Collection

log = logging.getLogger(__name__)

LOOK_S: Final = 60.0
TELL_S: Final = 0.25
# Documents whose passages are held in memory together.
EMBEDDED_AT_ONCE: Final = 20
# What is not the file's fault: the collection stops and says so.
FATAL: Final = frozenset({"disk_full", "storage_failed", "busy", "internal"})


class Live(msgspec.Struct):
    """How far the work on a collection is, between what is stored."""

    phase: str = "waiting"
    done: int = 0
    total: int = 0
    told_s: float = 0.0
    is_wanted: bool = True


class Indexer:
    """The one task that indexes."""

    def __init__(
        self,
        database: Database,
        engines: EngineSource,
        choose_embedder: Callable[[], Awaitable[str | None]],
        copies: Copies,
        publish: Callable[[AnyEvent], None],
        *,
        look_s: float = LOOK_S,
    ) -> None:
        self._database = database
        self._engines = engines
        self._choose_embedder = choose_embedder
        self._copies = copies
        self._publish = publish
        self._look_s = look_s
        self._live: dict[str, Live] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._current: tuple[str, asyncio.Task[None]] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name="collections")

    async def close(self) -> None:
        """Stop; what is under way is done again at the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def look_at(self, collection_id: str) -> None:
        """Look at a collection's files soon."""
        self._live[collection_id] = Live()
        self._wake.set()

    async def let_go(self, collection_id: str) -> None:
        """End the work on a collection; it is taken up again when it is looked at."""
        self._live.pop(collection_id, None)
        if self._current is not None and self._current[0] == collection_id:
            task = self._current[1]
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def forget(self, collection_id: str) -> None:
        """End the work on a collection that is about to be deleted."""
        await self.let_go(collection_id)

    async def overlay(self, stored: Collection) -> Collection:
        """Return a stored collection with what is going on with it now."""
        live = self._live.get(stored.id)
        changes: dict[str, object] = {}
        if live is not None and stored.phase not in ("paused", "error"):
            changes["phase"] = live.phase
            if live.phase in ("reading", "embedding"):
                changes["done"], changes["total"] = live.done, live.total
        ref = await self._choose_embedder()
        if ref and stored.embedder and stored.embedder != ref:
            changes["stale"] = (
                f"It was indexed with {stored.embedder}; {ref} is chosen now. Rebuild it to search"
                " by meaning."
            )
        return msgspec.structs.replace(stored, **changes)

    # --- the task

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            stored = await self._database.read(collection_records.every)
            for collection in stored:
                if collection.phase != "paused":
                    await self._index(collection)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._look_s):
                    await self._wake.wait()

    async def _index(self, collection: Collection) -> None:
        """Index one collection in a task of its own, which a pause or deletion may end."""
        live = self._live.setdefault(collection.id, Live())
        task = asyncio.create_task(
            self._guard(collection, live), name=f"collection-{collection.id}"
        )
        self._current = (collection.id, task)
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            raise
        finally:
            live.is_wanted = False
            self._current = None

    async def _guard(self, collection: Collection, live: Live) -> None:
        live.is_wanted = True
        before = live.phase
        error: AppError | None = None
        notes: Sequence[str] = collection.notes
        try:
            notes, error = await self._bring_up(collection, live)
        except AppError as failure:
            error = failure
        except Exception:  # a bug must not end the indexing of every collection
            log.exception("indexing a collection failed")
            error = internal()
        info = None if error is None else error_info(error)
        is_news = tuple(notes) != collection.notes or info != collection.error
        if is_news:
            with contextlib.suppress(AppError):
                say = partial(collection_records.say, notes=notes, error=info)
                await self._database.write(partial(say, collection_id=collection.id))
        live.phase = "ready" if error is None else "error"
        if is_news or live.phase != before:
            self._publish(Changed(topic="collection", id=collection.id))

    async def _bring_up(
        self, collection: Collection, live: Live
    ) -> tuple[list[str], AppError | None]:
        """Read what changed and embed what has no vectors; return notes and what is missing."""
        found = await asyncio.to_thread(sources.look, collection.sources)
        notes = list(sources.say_left_out(found))
        known = await self._database.read(
            partial(collection_records.known_files, collection_id=collection.id)
        )
        difference = sources.compare(known, found)
        if difference.gone:
            await self._drop(collection.id, difference.gone)
        if difference.changed:
            expect = partial(collection_records.expect, found=difference.changed)
            await self._database.write(partial(expect, collection_id=collection.id))
        waiting = [
            file
            for file in (
                await self._database.read(
                    partial(collection_records.known_files, collection_id=collection.id)
                )
            ).values()
            if file.state == "waiting"
        ]
        for done, file in enumerate(waiting):
            self._tell(collection.id, live, "reading", done, len(waiting))
            await self._read(collection.id, file, live)
        count_scans = partial(records.count_scans, collection_id=collection.id)
        if scans := await self._database.read(count_scans):
            files = "1 file is" if scans == 1 else f"{scans:,} files are"
            notes.append(f"{files} only pictures without text; open one to have it recognised.")
        notes += await self._embed(collection.id, live)
        if found.missing:
            return notes, AppError(
                "not_found",
                f"{found.missing[0]} is not there.",
                "Connect its disk, or take it out of the collection; its index is kept.",
            )
        return notes, None

    async def _read(self, collection_id: str, file: KnownFile, live: Live) -> None:
        path = Path(file.path)
        sha256 = ""
        try:
            sha256 = await asyncio.to_thread(sources.fingerprint, path)
            if sha256 == file.sha256 and file.document_id:  # touched, not changed
                await self._settle(collection_id, file, sha256, file.document_id)
                return
            parsed = await asyncio.to_thread(parse_file, path, is_wanted=lambda: live.is_wanted)
            prepared = await asyncio.to_thread(index.prepare, parsed)
        except OSError as error:
            failure = AppError(
                "no_permission",
                f"“{path.name}” cannot be opened ({error.strerror or error}).",
                "Look at its permissions.",
            )
            await self._fail(collection_id, file, sha256, failure)
            return
        except AppError as error:
            if error.code in FATAL or error.code == "cancelled":
                raise
            await self._fail(collection_id, file, sha256, error)
            return
        document_id = file.document_id or secrets.token_hex(12)
        await self._database.write(
            partial(_store, collection_id, file, document_id, sha256, parsed, prepared),
            durable=False,
        )
        await asyncio.to_thread(self._copies.forget_pictures, document_id)

    async def _settle(
        self, collection_id: str, file: KnownFile, sha256: str, document_id: str
    ) -> None:
        settle = partial(collection_records.settle, sha256=sha256, document_id=document_id)
        await self._database.write(
            partial(settle, collection_id=collection_id, path=file.path), durable=False
        )

    async def _fail(
        self, collection_id: str, file: KnownFile, sha256: str, error: AppError
    ) -> None:
        def store(connection: Any) -> None:
            if file.document_id:
                index.empty(connection, file.document_id)
                records.delete(connection, file.document_id)
            collection_records.settle(
                connection,
                collection_id,
                file.path,
                sha256=sha256,
                document_id=None,
                error=error_info(error),
            )

        await self._database.write(store)

    async def _drop(self, collection_id: str, gone: Sequence[KnownFile]) -> None:
        def drop(connection: Any) -> None:
            for file in gone:
                if file.document_id:
                    index.empty(connection, file.document_id)
                    records.delete(connection, file.document_id)
                collection_records.drop_file(connection, collection_id, file.path)
            index.overwrite_words(connection)

        await self._database.write(drop)
        for file in gone:
            if file.document_id:
                await asyncio.to_thread(self._copies.remove, file.document_id)

    async def _embed(self, collection_id: str, live: Live) -> list[str]:
        ref = await self._choose_embedder()
        if ref is None:
            return ["No embedding model is here; it is searched by words alone."]
        of_collections = partial(records.of_collections, collection_ids=[collection_id])
        documents = await self._database.read(of_collections)
        foreign = foreign_to(documents, ref)
        lacking = [d for d in documents if d.id not in foreign and d.embedded < d.passages]
        if not lacking:
            return []
        total = sum(document.passages - document.embedded for document in lacking)
        done = 0
        self._tell(collection_id, live, "embedding", done, total)
        async with self._engines.lease(ref) as lease:
            for start in range(0, len(lacking), EMBEDDED_AT_ONCE):
                group = lacking[start : start + EMBEDDED_AT_ONCE]

                def tell(at: int, _of: int, before: int = done) -> None:
                    self._tell(collection_id, live, "embedding", before + at, total)

                await embed_documents(self._database, lease, [d.id for d in group], tell)
                done += sum(document.passages - document.embedded for document in group)
        return []

    def _tell(self, collection_id: str, live: Live, phase: str, done: int, total: int) -> None:
        now = asyncio.get_running_loop().time()
        is_new = live.phase != phase
        live.phase, live.done, live.total = phase, done, total
        if is_new or now - live.told_s >= TELL_S:
            live.told_s = now
            self._publish(Changed(topic="collection", id=collection_id))


def _store(
    collection_id: str,
    file: KnownFile,
    document_id: str,
    sha256: str,
    parsed: ParsedDocument,
    prepared: index.Prepared,
    connection: Any,
) -> None:
    """Store a file's text and that it was read, in one step."""
    records.begin(
        connection,
        document_id,
        parsed.name,
        file=file.path,
        size_bytes=file.size_bytes,
        collection_id=collection_id,
    )
    index.add(connection, document_id, parsed, prepared)
    collection_records.settle(
        connection, collection_id, file.path, sha256=sha256, document_id=document_id
    )
