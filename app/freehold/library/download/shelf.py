"""One file while it is being downloaded: its part on disk, its journal, and the hash of the whole.

The hash follows the finished chunks from the front, so that it is nearly done when the last one
arrives; it reads from disk, so it also sees what went wrong there.
"""

from __future__ import annotations

import hashlib
import os
import threading
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final

from freehold.library.download.fetching import Progress, write_at
from freehold.library.download.journal import Arrived, Journal, Subject
from freehold.library.download.places import Place
from freehold.library.download.ranges import Chunk, chunk_at, chunk_count

READ_BYTES: Final = 512 << 10


class Shelf:
    """A file on its way. Several threads write chunks, one hashes."""

    def __init__(self, place: Place, chunk_bytes: int) -> None:
        self.place = place
        self.file = place.file
        self._chunk_bytes = chunk_bytes
        self._guard = threading.Lock()
        self._descriptor = -1
        self._journal: Journal | None = None
        self._hash = hashlib.sha256()
        self._hashed = 0
        self._states: dict[int, Any] = {0: self._hash.copy()}
        self.progress: dict[int, Progress] = {}

    def open(self) -> None:
        """Open part and journal; chunks that arrived before are known again.

        Raises: OSError, AppError `conflict`.
        """
        file = self.file
        subject = Subject(bytes=file.bytes, sha256=file.sha256 or "", chunk_bytes=self._chunk_bytes)
        self._journal = Journal.open(self.place.journal, subject)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(self.place.part, flags, 0o600)
        if os.fstat(self._descriptor).st_size != file.bytes:
            if os.fstat(self._descriptor).st_size == 0 and self._journal.arrived:
                self._journal.forget(set(self._journal.arrived))  # the part was deleted
            os.ftruncate(self._descriptor, file.bytes)
        for chunk in self.chunks():
            arrived = self._journal.arrived.get(chunk.index)
            sound = arrived is not None and 0 <= arrived.bytes <= chunk.bytes
            self.progress[chunk.index] = (
                Progress(arrived.bytes, arrived.checksum) if arrived and sound else Progress()
            )

    def chunks(self) -> list[Chunk]:
        """Return all chunks of the file."""
        count = chunk_count(self.file.bytes, self._chunk_bytes)
        return [chunk_at(index, self.file.bytes, self._chunk_bytes) for index in range(count)]

    def missing(self) -> list[Chunk]:
        """Return the chunks that are not whole."""
        return [c for c in self.chunks() if self.progress[c.index].done < c.bytes]

    @property
    def done_bytes(self) -> int:
        return sum(progress.done for progress in list(self.progress.values()))

    @property
    def hashed_bytes(self) -> int:
        return self._hashed

    def write(self, offset: int, pieces: list[bytes]) -> None:
        """Write bytes at their place; raises OSError."""
        write_at(self._descriptor, offset, pieces)

    def save(self, index: int) -> None:
        """Note in the journal how far a chunk is."""
        with self._guard:
            if self._journal is not None:
                progress = self.progress[index]
                self._journal.add(index, Arrived(progress.checksum, progress.done))

    def hash_on(self, check: Callable[[], None]) -> bool:
        """Hash the whole chunks that follow what is hashed; return whether the end is reached.

        check: called between pieces; raises to break off.
        """
        while self._hashed < self.file.bytes:
            index = self._hashed // self._chunk_bytes
            chunk = chunk_at(index, self.file.bytes, self._chunk_bytes)
            if self.progress[index].done < chunk.bytes:
                return False
            for piece in self._read(self._hashed, chunk.end):
                check()
                self._hash.update(piece)
                self._hashed += len(piece)
            self._states[index + 1] = self._hash.copy()
        return True

    def is_sound(self) -> bool:
        """Return whether the whole file is what the hub says it is; unknown counts as yes."""
        return self.file.sha256 is None or self._hash.hexdigest() == self.file.sha256

    def hash_again(self, index: int) -> None:
        """Take the hash of the whole back to the beginning of a chunk that was replaced."""
        if index * self._chunk_bytes < self._hashed:
            self._hash = self._states[index].copy()
            self._hashed = index * self._chunk_bytes

    def find_bad(self, check: Callable[[], None]) -> list[Chunk]:
        """Return the chunks that are no longer on disk as they arrived, and forget them."""
        bad = [
            chunk
            for chunk in self.chunks()
            if self.checksum(chunk, check) != self.progress[chunk.index].checksum
        ]
        with self._guard:
            if bad and self._journal is not None:
                self._journal.forget({chunk.index for chunk in bad})
        for chunk in bad:
            self.progress[chunk.index] = Progress()
        return bad

    def checksum(self, chunk: Chunk, check: Callable[[], None]) -> int:
        """Return the checksum of a chunk as it is on disk."""
        value = 0
        for piece in self._read(chunk.start, chunk.end):
            check()
            value = zlib.crc32(piece, value)
        return value

    def finish(self) -> None:
        """Give the file its final name, after everything is on the disk; raises OSError."""
        os.fsync(self._descriptor)
        self.place.part.rename(self.place.target)
        folder = os.open(self.place.target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        # Taken away first: the thread that brought the last chunk may still want to note it.
        with self._guard:
            journal, self._journal = self._journal, None
        if journal is not None:
            journal.delete()
        self.close()

    def close(self) -> None:
        """Close part and journal; what is there stays."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _read(self, start: int, end: int) -> Iterator[memoryview]:
        """Yield what is on disk in pieces, each valid until the next is asked for."""
        # One buffer for all: fresh ones cost more processor time than the hashing.
        buffer = memoryview(bytearray(min(READ_BYTES, max(1, end - start))))
        while start < end:
            piece = buffer[: min(READ_BYTES, end - start)]
            count = os.preadv(self._descriptor, [piece], start)
            if count == 0:
                piece[:] = bytes(len(piece))  # cut short: never what arrived
                count = len(piece)
            yield piece[:count]
            start += count
