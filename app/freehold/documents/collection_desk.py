"""Collections of one server: what a person does with them, and what is known of them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from freehold.documents import collection_records, index, records
from freehold.documents.copies import Copies
from freehold.documents.indexing import Indexer
from freehold.errors import AppError
from freehold.storage.connection import Database
from freehold.wire import AnyEvent, Changed
from freehold.wire_documents import Collection, CollectionFile

MAX_NAME: Final = 120
MAX_SOURCES: Final = 200
MAX_COLLECTIONS: Final = 500
MAX_LISTED: Final = 1_000


class CollectionDesk:
    """Makes, changes and deletes collections; the indexer follows."""

    def __init__(
        self,
        database: Database,
        indexer: Indexer,
        copies: Copies,
        publish: Callable[[AnyEvent], None],
    ) -> None:
        self._database = database
        self._indexer = indexer
        self._copies = copies
        self._publish = publish

    def start(self) -> None:
        """Begin to index in the background."""
        self._indexer.start()

    async def close(self) -> None:
        """End the indexing; it goes on where it was at the next start."""
        await self._indexer.close()

    async def collections(self) -> tuple[Collection, ...]:
        """Return every collection by name."""
        stored = await self._database.read(collection_records.every)
        return tuple([await self._indexer.overlay(collection) for collection in stored])

    async def collection(self, collection_id: str) -> Collection:
        """Return one collection as it is now.

        Raises: AppError `not_found`.
        """
        find = partial(collection_records.find, collection_id=collection_id)
        stored = await self._database.read(find)
        if stored is None:
            raise collection_records.gone()
        return await self._indexer.overlay(stored)

    async def files(
        self, collection_id: str, limit: int, offset: int
    ) -> tuple[CollectionFile, ...]:
        """Return a collection's files: those that failed first, then by path."""
        await self.collection(collection_id)
        return await self._database.read(
            partial(
                collection_records.files,
                collection_id=collection_id,
                limit=max(0, min(limit, MAX_LISTED)),
                offset=max(0, offset),
            )
        )

    async def create(self, name: str, sources: Sequence[str]) -> Collection:
        """Make a collection; its indexing begins at once.

        Raises: AppError `invalid_request`.
        """
        checked = check_name(name)
        paths = await asyncio.to_thread(check_sources, sources)
        if len(await self._database.read(collection_records.every)) >= MAX_COLLECTIONS:
            raise AppError(
                "invalid_request",
                f"{MAX_COLLECTIONS} collections are here already; that is the limit.",
                "Delete one first.",
            )
        collection_id = secrets.token_hex(12)
        await self._database.write(
            partial(
                collection_records.create,
                collection_id=collection_id,
                name=checked,
                sources=paths,
            )
        )
        self._publish(Changed(topic="collections"))
        self._indexer.look_at(collection_id)
        return await self.collection(collection_id)

    async def update(
        self,
        collection_id: str,
        *,
        name: str | None = None,
        sources: Sequence[str] | None = None,
        paused: bool | None = None,
    ) -> Collection:
        """Change what is given.

        Raises: AppError `not_found`, `invalid_request`.
        """
        checked = None if name is None else check_name(name)
        paths = None if sources is None else await asyncio.to_thread(check_sources, sources)
        await self._database.write(
            partial(
                collection_records.change,
                collection_id=collection_id,
                name=checked,
                sources=paths,
                paused=paused,
            )
        )
        if paused:
            await self._indexer.let_go(collection_id)
        elif paused is not None or paths is not None:
            self._indexer.look_at(collection_id)
        self._publish(Changed(topic="collection", id=collection_id))
        if checked is not None:
            self._publish(Changed(topic="collections"))
        return await self.collection(collection_id)

    async def rebuild(self, collection_id: str) -> Collection:
        """Read every file again and make the index anew.

        Raises: AppError `not_found`.
        """
        await self.collection(collection_id)
        await self._indexer.let_go(collection_id)

        def begin(connection: Any) -> None:
            collection_records.expect_all(connection, collection_id)
            ids = [d.id for d in records.of_collections(connection, [collection_id])]
            index.drop_vectors(connection, ids)

        await self._database.write(begin)
        self._indexer.look_at(collection_id)
        self._publish(Changed(topic="collection", id=collection_id))
        return await self.collection(collection_id)

    async def remove(self, collection_id: str) -> None:
        """Delete a collection: its text, words and vectors are overwritten, the files stay."""
        await self._indexer.forget(collection_id)

        def delete(connection: Any) -> tuple[str, ...]:
            ids = records.ids_of_collection(connection, collection_id)
            for document_id in ids:
                index.empty(connection, document_id)
            collection_records.delete(connection, collection_id)
            index.overwrite_words(connection)
            return ids

        for document_id in await self._database.write(delete):
            await asyncio.to_thread(self._copies.remove, document_id)
        await self._database.forget()
        self._publish(Changed(topic="collections"))


def check_name(name: str) -> str:
    """Return a collection's name, trimmed. Raises: AppError `invalid_request`."""
    trimmed = " ".join(name.split())
    if not trimmed or len(trimmed) > MAX_NAME:
        raise AppError(
            "invalid_request",
            f"A collection's name has 1 to {MAX_NAME} characters.",
            "Give it one.",
            detail={"param": "name"},
        )
    return trimmed


def check_sources(sources: Sequence[str]) -> tuple[str, ...]:
    """Return full paths, each once, without those inside another. Blocks on the disk.

    Raises: AppError `invalid_request`, `not_found`.
    """
    if len(sources) > MAX_SOURCES:
        raise AppError(
            "invalid_request",
            f"A collection has at most {MAX_SOURCES} files and folders to watch.",
            "Put the files into one folder and add that.",
        )
    paths: list[str] = []
    for source in sources:
        if not Path(source).is_absolute() or "\0" in source:
            raise AppError("invalid_request", "A full path is needed.", "Begin it with a slash.")
        path = Path(source).resolve()
        if not path.exists():
            raise AppError("not_found", f"There is nothing at {source}.", "Look at its path.")
        if path == Path(path.anchor):
            raise AppError(
                "invalid_request",
                "The whole disk is no collection.",
                "Choose the folders that hold documents.",
            )
        paths.append(str(path))
    return tuple(
        path
        for path in dict.fromkeys(paths)
        if not any(path.startswith(f"{other}/") for other in paths)
    )
