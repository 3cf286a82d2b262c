"""The queue of downloads: one after another, each with all connections, resumed after a restart.

What was asked for is in the database; how far it is, the journals beside the files tell.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import msgspec

from freehold.errors import AppError, internal
from freehold.library.download import schema
from freehold.library.download.fetching import Control, StoppedError, Throttle
from freehold.library.download.origin import Repository
from freehold.library.download.places import Place, check_room, place_files, remove_parts
from freehold.library.download.ranges import eta_s, room_needed
from freehold.library.download.retry import SpeedMeter
from freehold.library.download.schema import StoredDownload
from freehold.library.download.transfer import Options, Transfer
from freehold.library.inspection import to_info
from freehold.library.variants import Variant
from freehold.storage.connection import Database
from freehold.wire import AnyEvent, Changed, Download, DownloadChanged, ModelEntry

log = logging.getLogger(__name__)

TELL_S: Final = 0.25

TakeIn = Callable[[Path, str], Awaitable[ModelEntry]]


class Downloads:
    """Every download this machine was asked for."""

    def __init__(
        self,
        database: Database,
        models: Path,
        publish: Callable[[AnyEvent], None],
        take_in: TakeIn,
        repository: Callable[[str, str], Repository],
        *,
        limit_bytes_per_s: Callable[[], float] = lambda: 0.0,
        options: Options | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Make the queue; nothing runs before `start`.

        take_in: adds a complete model to the library under a name.
        """
        self._database = database
        self._models = models
        self._publish = publish
        self._take_in = take_in
        self._repository = repository
        self._limit = limit_bytes_per_s
        self._options = options or Options()
        self._clock = clock
        self._items: dict[str, StoredDownload] = {}
        self._resting_bytes: dict[str, int] = {}
        self._shown: dict[str, Download] = {}
        self._wake = asyncio.Event()
        self._changing = asyncio.Lock()
        self._worker: asyncio.Task[None] | None = None
        self._current: tuple[str, Transfer, asyncio.Future[None]] | None = None
        self._throttle = Throttle()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="downloads")
        self._resting = asyncio.Event()
        self._resting.set()

    # --- coming and going --------------------------------------------------------------------

    async def start(self) -> None:
        """Read the queue and go on where a former server ended."""
        for item in await self._database.read(schema.all_downloads):
            self._items[item.id] = item
            await self._measure(item)
        self._worker = asyncio.create_task(self._work(), name="downloads")

    async def close(self) -> None:
        """Stop at once; the next start goes on where this one ended."""
        if self._current is not None:
            self._current[1].stop()
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
        await asyncio.to_thread(self._thread.shutdown)

    # --- what a person does ------------------------------------------------------------------

    def all(self) -> tuple[Download, ...]:
        """Return what is listed, in the order of the queue."""
        return tuple(self._view(item) for item in self._ordered() if not item.cleared)

    def files_of(self, ref: str) -> StoredDownload | None:
        """Return the download that a model came from, with the hub's checksums."""
        done = [item for item in self._items.values() if item.ref == ref and item.state == "done"]
        return done[-1] if done else None

    def folder_of(self, item: StoredDownload) -> Path:
        """Return where the files of a download lie."""
        return self._models / item.repository

    async def add(
        self, repository: str, variant: Variant, revision: str, alternatives: str = ""
    ) -> Download:
        """Put a variant into the queue; one that is there already goes on.

        Raises: AppError `disk_full`, `invalid_model` (parts are missing), `invalid_request`.
        """
        if variant.missing:
            raise AppError(
                "invalid_model",
                f"{repository} lacks {len(variant.missing)} of the files of {variant.name}.",
                "Choose another variant, or another repository.",
                detail={"missing": list(variant.missing)[:20]},
            )
        async with self._changing:
            known = self._find(repository, variant.name)
            if known is not None and known.state != "done":
                if known.revision != revision and known.files != variant.files:
                    known = msgspec.structs.replace(known, revision=revision, files=variant.files)
                if known.id == self._running_id:
                    return self._view(known)
                return await self._save(msgspec.structs.replace(known, state="queued", error=None))
            places = place_files(self._models, repository, variant.files)
            left = variant.bytes - await asyncio.to_thread(_done_bytes, places)
            await asyncio.to_thread(check_room, self._models, room_needed(left), alternatives)
            item = StoredDownload(
                id=known.id if known else secrets.token_hex(8),
                place=max((i.place for i in self._items.values()), default=0) + 1,
                repository=repository,
                variant=variant.name,
                revision=revision,
                files=variant.files,
                state="queued",
                added_at=self._clock(),
            )
            await self._measure(item)
            return await self._save(item)

    async def pause(self, identifier: str) -> Download:
        """Stop a download; what arrived is kept."""
        async with self._changing:
            item = self._get(identifier)
            if item.state == "queued":
                await self._save(msgspec.structs.replace(item, state="paused"))
                if self._running_id == identifier:
                    await self._stop_current()
            return self._view(self._get(identifier))

    async def resume(self, identifier: str) -> Download:
        """Go on with a download that was paused or failed."""
        async with self._changing:
            item = self._get(identifier)
            if item.state in ("paused", "failed"):
                left = item.total_bytes - self._resting_bytes.get(identifier, 0)
                await asyncio.to_thread(check_room, self._models, room_needed(left), "")
                await self._save(msgspec.structs.replace(item, state="queued", error=None))
            return self._view(self._get(identifier))

    async def cancel(self, identifier: str) -> None:
        """Take a download off the list; what came of an unfinished one is deleted."""
        async with self._changing:
            item = self._get(identifier)
            if item.state == "done":
                await self._save(msgspec.structs.replace(item, cleared=True), tell=False)
            else:
                await self._save(msgspec.structs.replace(item, state="paused"), tell=False)
                if self._running_id == identifier:
                    await self._stop_current()
                places = place_files(self._models, item.repository, item.files)
                await asyncio.to_thread(_delete_unfinished, places)
                await self._database.write(lambda c: schema.delete_download(c, identifier))
                del self._items[identifier]
            self._shown.pop(identifier, None)
            self._publish(DownloadChanged(id=identifier))

    async def move(self, identifier: str, place: int) -> None:
        """Put a download at a place of the queue (0 is first); it runs at its turn."""
        async with self._changing:
            moved = self._get(identifier)
            order = [item for item in self._ordered() if item.id != identifier]
            order.insert(max(0, place), moved)
            running = self._running_id
            for number, item in enumerate(order, start=1):
                self._items[item.id] = msgspec.structs.replace(item, place=number)
            changed = [self._items[item.id] for item in order]
            await self._database.write(lambda c: schema.save_downloads(c, changed))
            self._publish(Changed(topic="downloads"))
            first = self._next()
            if running is not None and first is not None and first.id != running:
                await self._stop_current()  # it stays queued and comes later
            self._wake.set()

    # --- the loop ----------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            self._wake.clear()
            item = self._next()
            if item is None:
                await self._wake.wait()
                continue
            try:
                await self._run(item)
            except AppError as error:
                await self._end(item.id, error)
            except Exception:
                log.exception("download %s failed", item.id)
                await self._end(item.id, internal())

    async def _run(self, item: StoredDownload) -> None:
        places = place_files(self._models, item.repository, item.files)
        transfer = Transfer(
            self._repository(item.repository, item.revision),
            places,
            self._models,
            control=Control(throttle=self._throttle),
            options=self._options,
        )
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._thread, transfer.run)
        # When the queue is closed nobody waits for the thread's last word.
        future.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        self._current = (item.id, transfer, future)
        self._resting.clear()
        meter = SpeedMeter()
        try:
            while not future.done():
                self._throttle.bytes_per_s = self._limit()
                self._show(item, transfer, meter)
                await asyncio.wait({future}, timeout=TELL_S)
            try:
                await future
            except StoppedError:
                return
        finally:
            self._current = None
            self._shown.pop(item.id, None)
            await self._measure(item)
            self._resting.set()
            if item.id in self._items:
                self._tell(self._items[item.id])
        entry = await self._take_in(places[0].target, f"{item.repository}:{item.variant}")
        log.info("download of %s is complete", entry.ref)
        done = msgspec.structs.replace(
            self._items[item.id], state="done", error=None, ref=entry.ref
        )
        await self._save(done)

    async def _end(self, identifier: str, error: AppError) -> None:
        if identifier not in self._items:
            return
        log.info("download %s stopped: %s", identifier, error.code)
        item = self._items[identifier]
        failed = msgspec.structs.replace(item, state="failed", error=to_info(error))
        try:
            await self._save(failed)
        except AppError as problem:
            # The disk is full for the database too: the list says so until the next start.
            log.warning("the end of a download could not be stored: %s", problem.message)
            self._items[identifier] = failed
            self._tell(failed)

    async def _stop_current(self) -> None:
        if self._current is None:
            return
        _, transfer, future = self._current
        transfer.stop()
        await asyncio.wait({future})
        await self._resting.wait()

    # --- parts -------------------------------------------------------------------------------

    @property
    def _running_id(self) -> str | None:
        return self._current[0] if self._current else None

    def _ordered(self) -> list[StoredDownload]:
        return sorted(self._items.values(), key=lambda item: (item.place, item.id))

    def _next(self) -> StoredDownload | None:
        return next((item for item in self._ordered() if item.state == "queued"), None)

    def _find(self, repository: str, variant: str) -> StoredDownload | None:
        return next(
            (
                item
                for item in self._items.values()
                if (item.repository, item.variant) == (repository, variant)
            ),
            None,
        )

    def _get(self, identifier: str) -> StoredDownload:
        item = self._items.get(identifier)
        if item is None:
            raise AppError(
                "not_found", "That download is no longer in the list.", "Look at the list again."
            )
        return item

    async def _save(self, item: StoredDownload, *, tell: bool = True) -> Download:
        await self._database.write(lambda c: schema.save_download(c, item))
        self._items[item.id] = item
        self._wake.set()
        if tell:
            self._tell(item)
        return self._view(item)

    async def _measure(self, item: StoredDownload) -> None:
        places = place_files(self._models, item.repository, item.files)
        self._resting_bytes[item.id] = await asyncio.to_thread(_done_bytes, places)

    def _tell(self, item: StoredDownload) -> None:
        self._publish(DownloadChanged(id=item.id, download=self._view(item)))

    def _show(self, item: StoredDownload, transfer: Transfer, meter: SpeedMeter) -> None:
        now = transfer.snapshot()
        speed = meter.note(transfer.control.received_bytes, time.monotonic())
        checking = now.done_bytes >= item.total_bytes
        shown = msgspec.structs.replace(
            self._resting_view(item),
            state="verifying" if checking else "running",
            file=now.file,
            done_bytes=now.done_bytes,
            verified_bytes=now.hashed_bytes,
            files_done=now.files_done,
            bytes_per_s=0.0 if checking else speed,
            eta_s=eta_s(item.total_bytes - now.done_bytes, speed),
            note=now.note,
        )
        if shown != self._shown.get(item.id):
            self._shown[item.id] = shown
            self._publish(DownloadChanged(id=item.id, download=shown))

    def _view(self, item: StoredDownload) -> Download:
        if item.id == self._running_id and item.id in self._shown:
            return self._shown[item.id]
        return self._resting_view(item)

    def _resting_view(self, item: StoredDownload) -> Download:
        done = item.state == "done"
        bytes_done = item.total_bytes if done else self._resting_bytes.get(item.id, 0)
        return Download(
            id=item.id,
            repository=item.repository,
            variant=item.variant,
            state=item.state,
            total_bytes=item.total_bytes,
            done_bytes=bytes_done,
            verified_bytes=item.total_bytes if done else 0,
            files=len(item.files),
            files_done=len(item.files) if done else 0,
            error=item.error,
            ref=item.ref,
            folder=str(self.folder_of(item)),
            added_at=item.added_at,
        )


def _done_bytes(places: tuple[Place, ...]) -> int:
    return sum(place.done_bytes() for place in places)


def _delete_unfinished(places: tuple[Place, ...]) -> None:
    """Delete parts, and the finished shards of a set that will never be whole."""
    for place in places:
        with contextlib.suppress(OSError):
            place.target.unlink()
    remove_parts(places)
