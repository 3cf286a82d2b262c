"""A download at work: connections that take the next chunk, and a thread that hashes behind them.

Blocking; the queue runs it in a thread of its own. Everything it has to know later is on disk.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from freehold.errors import AppError
from freehold.library.download.fetching import SAVE_BYTES, Control, Fetcher, StoppedError
from freehold.library.download.origin import Origin, Repository, make_client
from freehold.library.download.places import Place, disk_error, make_folder
from freehold.library.download.ranges import CHUNK_BYTES, Chunk
from freehold.library.download.repair import Repair
from freehold.library.download.shelf import Shelf

CONNECTIONS: Final = 8
MOST_REPAIRS: Final = 3


@dataclass(frozen=True, slots=True)
class Options:
    """How to download: connections for all files together, and the size of a chunk."""

    connections: int = CONNECTIONS
    chunk_bytes: int = CHUNK_BYTES


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Where a transfer is. hashed_bytes: what of the whole is verified so far."""

    file: str
    done_bytes: int
    hashed_bytes: int
    files_done: int
    note: str


@dataclass(slots=True)
class Transfer:
    """The files of one variant on their way to `models`."""

    repository: Repository
    places: tuple[Place, ...]
    models: Path
    control: Control = field(default_factory=Control)
    options: Options = field(default_factory=Options)
    _client: httpx.Client = field(init=False)
    _shelves: list[Shelf] = field(default_factory=list)
    _finished: set[str] = field(default_factory=set)
    _arrived: threading.Condition = field(default_factory=threading.Condition)

    def run(self) -> None:
        """Fetch, verify and name every file. Blocks until done.

        Raises: StoppedError after `stop`; AppError when a person has to do something. What
        arrived is kept either way.
        """
        try:
            with self._open(), contextlib.closing(self._client):
                self._run()
        except OSError as error:
            path = Path(error.filename) if error.filename else self.models / "download"
            raise disk_error(error, path) from error

    def stop(self) -> None:
        """End `run` soon; callable from any thread."""
        self.control.stop()
        with self._arrived:
            self._arrived.notify_all()

    def snapshot(self) -> Snapshot:
        """Return where the transfer is; callable from any thread."""
        shelves = list(self._shelves)
        done = sum(p.file.bytes for p in self.places if p.file.path in self._finished)
        open_shelves = [s for s in shelves if s.file.path not in self._finished]
        current = next((s.file.path for s in open_shelves), "")
        return Snapshot(
            file=current,
            done_bytes=done + sum(s.done_bytes for s in open_shelves),
            hashed_bytes=done + sum(s.hashed_bytes for s in open_shelves),
            files_done=len(self._finished),
            note=self.control.note,
        )

    # --- inside ------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _open(self) -> Iterator[None]:
        for place in self.places:
            if place.is_complete():
                self._finished.add(place.file.path)
                continue
            make_folder(self.models, place)
            shelf = Shelf(place, self.options.chunk_bytes)
            self._shelves.append(shelf)
        try:
            for shelf in self._shelves:
                shelf.open()
            self._client = make_client(self.options.connections, self.control.stall_s)
            yield
        finally:
            for shelf in self._shelves:
                shelf.close()

    def _run(self) -> None:
        origin = Origin(self.repository, self._client)
        fetcher = Fetcher(origin, self._client, self.control, self.repository.name)
        jobs = iter([(shelf, chunk) for shelf in self._shelves for chunk in shelf.missing()])
        guard = threading.Lock()

        def work() -> None:
            while True:
                with guard:
                    job = next(jobs, None)
                if job is None:
                    return
                self._fetch(fetcher, *job)

        count = self.options.connections
        with ThreadPoolExecutor(count + 1, thread_name_prefix="download") as threads:
            tasks: list[Future[None]] = [threads.submit(work) for _ in range(count)]
            tasks.append(threads.submit(self._verify_all, fetcher))
            done, _ = wait(tasks, return_when=FIRST_EXCEPTION)
            failed = [task for task in done if task.exception() is not None]
            if failed:
                self.stop()
        errors = [e for t in tasks if (e := t.exception()) is not None]
        for error in sorted(errors, key=lambda e: isinstance(e, StoppedError)):
            raise error

    def _fetch(self, fetcher: Fetcher, shelf: Shelf, chunk: Chunk) -> None:
        progress = shelf.progress[chunk.index]
        saved = progress.done

        def sink(offset: int, pieces: list[bytes]) -> None:
            nonlocal saved
            if progress.done - saved >= SAVE_BYTES:
                saved = progress.done
                shelf.save(chunk.index)
            shelf.write(offset, pieces)

        try:
            fetcher.fetch(shelf.file, chunk, sink, progress)
        finally:
            shelf.save(chunk.index)
        with self._arrived:
            self._arrived.notify_all()

    def _verify_all(self, fetcher: Fetcher) -> None:
        for shelf in self._shelves:
            self._hash(shelf)
            for _ in range(MOST_REPAIRS):
                if shelf.is_sound():
                    break
                Repair(
                    shelf,
                    fetcher,
                    self.control,
                    fetch=lambda held, chunk: self._fetch(fetcher, held, chunk),
                    hash_rest=self._hash,
                    readers=self.options.connections,
                ).mend()
            if not shelf.is_sound():
                raise AppError(
                    "download_corrupt",
                    f"{shelf.file.path} does not have the checksum that the hub gives for it.",
                    "Try again later; if it stays so, the file on the hub itself is damaged.",
                    retryable=True,
                )
            shelf.finish()
            self._finished.add(shelf.file.path)

    def _hash(self, shelf: Shelf) -> None:
        while not shelf.hash_on(self.control.check):
            with self._arrived:
                self._arrived.wait(0.2)
            self.control.check()
