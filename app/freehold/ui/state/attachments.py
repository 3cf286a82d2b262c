"""The documents of the open chat: attached at once, read by the server, kept with the chat."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from PySide6.QtCore import QObject, Signal

from freehold.errors import AppError
from freehold.ui.state.delay import Delay
from freehold.ui.state.gathering import CHUNK_BYTES, MAX_FILES, file_pieces, gather, shown_name
from freehold.ui.state.session import Session
from freehold.ui.tasks import spawn
from freehold.wire import Changed, ErrorInfo, Resync
from freehold.wire_documents import ChatDocuments, Choice, Collection, DocumentFit, DocumentInfo

ADDED_AT_ONCE: Final = 4
REFRESH_MS: Final = 250
LOOK_MS: Final = 2_000  # while something is read, in case an event was missed
TOPICS: Final = frozenset({"documents", "document", "chat_documents", "collections", "collection"})


@dataclass(frozen=True, slots=True)
class Attachment:
    """A chip: a document or a collection of the chat, or a file on its way to the server."""

    key: str
    name: str
    document: DocumentInfo | None = None
    collection: Collection | None = None
    error: ErrorInfo | None = None
    bytes: int = 0

    @property
    def failure(self) -> ErrorInfo | None:
        """Return why it cannot be used."""
        return self.error or (self.document.error if self.document is not None else None)

    @property
    def is_busy(self) -> bool:
        """Return whether it is still being sent or read."""
        if self.failure is not None or self.collection is not None:
            return False
        return self.document is None or self.document.phase == "reading"

    @property
    def is_ready(self) -> bool:
        """Return whether it can be asked about."""
        return self.failure is None and not self.is_busy


@dataclass(slots=True)
class Sheaf:
    """The attachments of one chat, also while another is open."""

    chat_id: str = ""
    items: list[Attachment] = field(default_factory=list)
    choice: Choice = ""
    unsaved: bool = False
    storing: asyncio.Lock = field(default_factory=asyncio.Lock)


class Attachments(QObject):
    """View-model of the chips above the composer.

    Signals:
        changed: chips came, went or changed.
        failed(AppError): something asked for did not work.
        noted(text): something a person should know of what was added.
        opened(document): a document that was asked to be shown.
    """

    changed = Signal()
    failed = Signal(object)
    noted = Signal(str)

    def __init__(
        self,
        session: Session,
        ensure_stored: Callable[[], Awaitable[str]],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._ensure_stored = session, ensure_stored
        self._sheaf = Sheaf()
        self._keys = itertools.count(1)
        self._turns = asyncio.Semaphore(ADDED_AT_ONCE)
        self._moved = asyncio.Event()
        self._refresh = Delay(REFRESH_MS, self._read_soon, self)
        self._look = Delay(LOOK_MS, self._read_soon, self)
        session.event_received.connect(self._on_event)
        session.connected.connect(self._refresh.start)

    # --- what is known ---------------------------------------------------------------------------

    @property
    def items(self) -> tuple[Attachment, ...]:
        """Return the open chat's attachments in order."""
        return tuple(self._sheaf.items)

    @property
    def chat_id(self) -> str:
        """Return whose attachments are shown, "" for a blank."""
        return self._sheaf.chat_id

    @property
    def choice(self) -> Choice:
        """Return what the person chose for documents that do not fit."""
        return self._sheaf.choice

    @property
    def busy(self) -> int:
        """Return how many are still being read."""
        return sum(item.is_busy for item in self._sheaf.items)

    @property
    def ready(self) -> int:
        """Return how many can be asked about."""
        return sum(item.is_ready for item in self._sheaf.items)

    def show_chat(self, chat_id: str) -> None:
        """Show another chat's attachments; a blank that was stored keeps what it has."""
        if chat_id == self._sheaf.chat_id:
            return
        if chat_id and not self._sheaf.chat_id and self._sheaf.items:
            self._sheaf.chat_id = chat_id
            return
        self._sheaf = Sheaf(chat_id)
        self._tell()
        if chat_id:
            spawn(self, self._read(), failed=self._read_failed)

    def leave(self) -> None:
        """Show nothing: a blank chat was opened."""
        self._sheaf = Sheaf()
        self._tell()

    # --- adding and taking away ------------------------------------------------------------------

    def add_files(self, paths: Sequence[str]) -> None:
        """Attach files and what is in folders."""
        spawn(self, self._add_files(self._sheaf, tuple(paths)))

    def add_content(self, name: str, content: bytes) -> None:
        """Attach something that is no file, such as a long text that was pasted."""
        sheaf = self._sheaf
        item = self._begin(sheaf, name, len(content))
        spawn(self, self._add_one(sheaf, item, lambda: self._upload(name, _pieces(content))))

    def add_collection(self, collection: Collection) -> None:
        """Attach a collection."""
        sheaf = self._sheaf
        key = f"collection:{collection.id}"
        if not any(item.key == key for item in sheaf.items):
            sheaf.items.append(Attachment(key, collection.name, collection=collection))
            self._tell()
            spawn(self, self._store(sheaf), failed=self.failed.emit)

    def add_document(self, document: DocumentInfo) -> None:
        """Attach a document that is here already."""
        sheaf = self._sheaf
        if not any(item.key == document.id for item in sheaf.items):
            sheaf.items.append(Attachment(document.id, document.name, document))
            self._tell()
            spawn(self, self._store(sheaf), failed=self.failed.emit)

    def remove(self, key: str) -> None:
        """Take one off the chat; what was never read is forgotten."""
        sheaf = self._sheaf
        item = next((item for item in sheaf.items if item.key == key), None)
        if item is None:
            return
        sheaf.items.remove(item)
        self._tell()
        spawn(self, self._take_off(sheaf, item), failed=self.failed.emit)

    async def _take_off(self, sheaf: Sheaf, item: Attachment) -> None:
        document = item.document
        if document is None and item.collection is None:
            return  # the server never heard of it
        if sheaf.chat_id:
            await self._store(sheaf)
        if document is not None and document.phase != "ready":
            await self._session.client.documents.remove(document.id)

    async def _add_files(self, sheaf: Sheaf, paths: tuple[str, ...]) -> None:
        room = max(0, MAX_FILES - len(sheaf.items))
        found = await asyncio.to_thread(gather, paths, room)
        for note in found.notes:
            self.noted.emit(note)
        begun = [
            (self._begin(sheaf, path, size, tell=False), path)
            for path, size in zip(found.files, found.sizes, strict=True)
        ]
        self._tell()
        await asyncio.gather(*(self._add_one(sheaf, item, self._sender(p)) for item, p in begun))

    def _sender(self, path: str) -> Callable[[], Awaitable[DocumentInfo]]:
        if self._session.is_local:
            return lambda: self._session.client.documents.add(path)
        return lambda: self._upload(shown_name(path), file_pieces(path))

    async def _upload(self, name: str, content: AsyncIterator[bytes]) -> DocumentInfo:
        return await self._session.client.documents.upload(name, content)

    def _begin(self, sheaf: Sheaf, path: str, size: int, *, tell: bool = True) -> Attachment:
        item = Attachment(f"local-{next(self._keys)}", shown_name(path), bytes=size)
        sheaf.items.append(item)
        if tell:
            self._tell()
        return item

    async def _add_one(
        self, sheaf: Sheaf, item: Attachment, send: Callable[[], Awaitable[DocumentInfo]]
    ) -> None:
        """Hand one file to the server; what goes wrong stays on its chip."""
        async with self._turns:
            if item not in sheaf.items:
                return  # taken off meanwhile
            try:
                info = await send()
                known = Attachment(info.id, info.name, info)
            except AppError as error:
                known = replace(item, error=to_info(error))
            except OSError as error:
                known = replace(item, error=unreadable(item.name, error))
            if item not in sheaf.items:
                if known.document is not None:
                    await self._session.client.documents.remove(known.document.id)
                return
            sheaf.items[sheaf.items.index(item)] = known
            sheaf.unsaved = True
            self._tell()
        try:
            await self._store(sheaf, only_unsaved=True)
        except AppError as error:
            self.failed.emit(error)

    async def _store(self, sheaf: Sheaf, *, only_unsaved: bool = False) -> None:
        """Tell the server what the chat has; many changes at a time become one."""
        async with sheaf.storing:
            if only_unsaved and not sheaf.unsaved:
                return
            sheaf.unsaved = False
            if not sheaf.chat_id:
                sheaf.chat_id = await self._ensure_stored()
            documents = [i.document.id for i in sheaf.items if i.document is not None]
            collections = [i.collection.id for i in sheaf.items if i.collection is not None]
            try:
                await self._session.client.documents.set_chat(
                    sheaf.chat_id, documents=documents, collections=collections
                )
            except AppError as error:
                sheaf.unsaved = error.retryable  # told again when the line is back
                raise

    # --- asking ----------------------------------------------------------------------------------

    async def until_read(self, tell: Callable[[int, int], None]) -> None:
        """Return when nothing is being read any more; `tell` hears of how many are done."""
        while self.busy:
            self._moved.clear()
            tell(len(self._sheaf.items) - self.busy, len(self._sheaf.items))
            await self._moved.wait()

    async def fit(self) -> DocumentFit:
        """Return whether the documents fit whole, with the numbers."""
        return await self._session.client.documents.fit(self._sheaf.chat_id)

    async def choose(self, choice: Choice) -> None:
        """Keep what to do with documents that do not fit."""
        sheaf = self._sheaf
        found = await self._session.client.documents.set_chat(sheaf.chat_id, choice=choice)
        sheaf.choice = found.choice

    def refresh(self) -> None:
        """Read the open chat's attachments again, soon."""
        self._refresh.start()

    # --- keeping up ------------------------------------------------------------------------------

    def _on_event(self, event: object) -> None:
        known = isinstance(event, Changed) and event.topic in TOPICS
        if (known or isinstance(event, Resync)) and not self._refresh.isActive():
            self._refresh.start()

    def _read_soon(self) -> None:
        if self._sheaf.chat_id:
            spawn(self, self._read(), failed=self._read_failed)

    async def _read(self) -> None:
        sheaf = self._sheaf
        await self._store(sheaf, only_unsaved=True)
        found = await self._session.client.documents.of_chat(sheaf.chat_id)
        if not sheaf.storing.locked() and not sheaf.unsaved:
            self._take(sheaf, found)
        if sheaf is self._sheaf and self.busy:
            self._look.start()

    def _read_failed(self, error: AppError) -> None:
        if error.code not in ("server_unreachable", "not_found"):
            self.failed.emit(error)

    def _take(self, sheaf: Sheaf, found: ChatDocuments) -> None:
        """Take what the server knows; files it has not heard of keep their place at the end."""
        ours = [item for item in sheaf.items if item.document is None and item.collection is None]
        items = [Attachment(info.id, info.name, info) for info in found.documents]
        items += [
            Attachment(f"collection:{one.id}", one.name, collection=one)
            for one in found.collections
        ]
        sheaf.choice = found.choice
        if items + ours != sheaf.items:
            sheaf.items = items + ours
            if sheaf is self._sheaf:
                self._tell()

    def _tell(self) -> None:
        self._moved.set()
        self.changed.emit()
        if not self._look.isActive() and self.busy:
            self._look.start()


def to_info(error: AppError) -> ErrorInfo:
    """Return an error as a chip keeps it."""
    return ErrorInfo(code=error.code, message=error.message, hint=error.hint)


def unreadable(name: str, error: OSError) -> ErrorInfo:
    """Return what is said of a file this window cannot read."""
    return ErrorInfo(
        code="no_permission",
        message=f"“{name}” cannot be opened ({error.strerror or error}).",
        hint="Look at its permissions, then add it again.",
    )


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), CHUNK_BYTES):
        yield content[start : start + CHUNK_BYTES]
