"""Every document and collection of a server, as the Documents page shows them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, Final, Literal

from PySide6.QtCore import QObject, Signal

from freehold.errors import AppError
from freehold.ui.state.attachments import TOPICS
from freehold.ui.state.delay import Delay
from freehold.ui.state.gathering import MAX_FILES, file_pieces, gather, shown_name
from freehold.ui.state.session import Session
from freehold.ui.tasks import spawn
from freehold.wire import Changed, Resync
from freehold.wire_documents import (
    Collection,
    CollectionFile,
    DocumentAbilities,
    DocumentInfo,
    DocumentUse,
)

REFRESH_MS: Final = 250
LOOK_MS: Final = 2_000  # while something is under way, in case an event was missed


class Shelf(QObject):
    """View-model of the Documents page.

    Signals:
        changed: documents, collections or abilities changed.
        failed(AppError): something asked for did not work.
        noted(text): something a person should know of what was added.
    """

    changed = Signal()
    failed = Signal(object)
    noted = Signal(str)

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.documents: tuple[DocumentInfo, ...] = ()
        self.collections: tuple[Collection, ...] = ()
        self.abilities = DocumentAbilities()
        self.uses: dict[str, tuple[DocumentUse, ...]] = {}
        self.loaded = False
        self._refresh = Delay(REFRESH_MS, self.refresh, self)
        self._look = Delay(LOOK_MS, self.refresh, self)
        session.event_received.connect(self._on_event)
        session.connected.connect(self._refresh.start)
        if session.is_connected:
            self._refresh.start()

    @property
    def is_busy(self) -> bool:
        """Return whether something is being read or indexed."""
        at_work = ("waiting", "reading", "embedding")
        return any(d.phase == "reading" for d in self.documents) or any(
            c.phase in at_work for c in self.collections
        )

    def refresh(self) -> None:
        """Read everything again."""
        spawn(self, self._read(), failed=self._read_failed)

    async def _read(self) -> None:
        client = self._session.client.documents
        documents, collections = await client.all(), await client.collections()
        abilities, uses = await client.abilities(), by_item(await client.uses())
        found = (documents, collections, abilities, uses)
        known = (self.documents, self.collections, self.abilities, self.uses)
        if found != known or not self.loaded:
            self.documents, self.collections, self.abilities, self.uses = found
            self.loaded = True
            self.changed.emit()
        if self.is_busy:
            self._look.start()

    def _read_failed(self, error: AppError) -> None:
        if error.code != "server_unreachable":  # the session tells that by itself
            self.failed.emit(error)

    def _on_event(self, event: object) -> None:
        known = isinstance(event, Changed) and event.topic in TOPICS
        if (known or isinstance(event, Resync)) and not self._refresh.isActive():
            self._refresh.start()

    # --- documents -------------------------------------------------------------------------------

    def add(self, paths: Sequence[str]) -> None:
        """Take in files and what is in folders."""
        spawn(self, self._add(tuple(paths)), failed=self.failed.emit)

    async def _add(self, paths: tuple[str, ...]) -> None:
        room = max(0, MAX_FILES - len(self.documents))
        found = await asyncio.to_thread(gather, paths, room)
        for note in found.notes:
            self.noted.emit(note)
        client = self._session.client.documents
        for path in found.files:
            try:
                if self._session.is_local:
                    await client.add(path)
                else:
                    await client.upload(shown_name(path), file_pieces(path))
            except AppError as error:
                self.failed.emit(error)
            except OSError as error:
                why = error.strerror or str(error)
                self.failed.emit(
                    AppError(
                        "no_permission",
                        f"“{shown_name(path)}” cannot be opened ({why}).",
                        "Look at its permissions.",
                    )
                )
        self.refresh()

    def remove(self, document_id: str) -> None:
        """Delete a document's copy, text and index."""
        self._do(self._session.client.documents.remove(document_id))

    def recognise(self, document_id: str) -> None:
        """Recognise the text of a scan."""
        self._do(self._session.client.documents.recognise(document_id))

    def choose_model(self, role: Literal["embedder", "reranker"], ref: str) -> None:
        """Use another model for the search."""
        self._do(self._session.client.documents.choose_model(role, ref))

    # --- collections -----------------------------------------------------------------------------

    def create(self, name: str, sources: Sequence[str]) -> None:
        """Make a collection."""
        self._do(self._session.client.documents.create_collection(name, tuple(sources)))

    def update(self, collection_id: str, **changes: Any) -> None:
        """Change name, sources or paused."""
        self._do(self._session.client.documents.update_collection(collection_id, **changes))

    def rebuild(self, collection_id: str) -> None:
        """Read a collection's files again."""
        self._do(self._session.client.documents.rebuild_collection(collection_id))

    def remove_collection(self, collection_id: str) -> None:
        """Delete a collection with its text and index."""
        self._do(self._session.client.documents.remove_collection(collection_id))

    async def files(self, collection_id: str) -> tuple[CollectionFile, ...]:
        """Return the files of a collection, those that failed first."""
        return await self._session.client.documents.collection_files(collection_id)

    def _do(self, action: Awaitable[object]) -> None:
        spawn(self, self._done(action), failed=self.failed.emit)

    async def _done(self, action: Awaitable[object]) -> None:
        await action
        await self._read()


def by_item(uses: Sequence[DocumentUse]) -> dict[str, tuple[DocumentUse, ...]]:
    """Return the chats of each document and collection."""
    found: dict[str, list[DocumentUse]] = {}
    for use in uses:
        found.setdefault(use.id, []).append(use)
    return {key: tuple(items) for key, items in found.items()}
