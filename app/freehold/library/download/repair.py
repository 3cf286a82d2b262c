"""Mending a file whose checksum is wrong: find the chunks that are bad, and fetch those alone.

What changed on this machine's disk since it came is known from the journal's checksums. What came
damaged is known at once where the server sends a digest of each answer (RFC 9530; over TLS damage
on the way breaks the connection anyway). What is left, damage at the source that only the hub's
SHA-256 of the whole shows, is found by reading chunks a second time beside the first: a chunk is
replaced only where the two differ, and reading ends as soon as the whole is right.
"""

from __future__ import annotations

import logging
import os
import threading
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from freehold.library.download.fetching import Control, Fetcher, Progress
from freehold.library.download.ranges import Chunk
from freehold.library.download.shelf import Shelf

log = logging.getLogger(__name__)

READ_BYTES: Final = 1 << 20


class Repair:
    """Mends one file; `fetch` brings a chunk into place, `hash_rest` hashes what is not hashed."""

    def __init__(
        self,
        shelf: Shelf,
        fetcher: Fetcher,
        control: Control,
        *,
        fetch: Callable[[Shelf, Chunk], None],
        hash_rest: Callable[[Shelf], None],
        readers: int,
    ) -> None:
        self._shelf, self._fetcher, self._control = shelf, fetcher, control
        self._fetch, self._hash_rest = fetch, hash_rest
        self._readers = max(1, readers)
        self._guard = threading.Lock()

    def mend(self) -> None:
        """Find what is bad and fetch it again; the shelf says afterwards whether it is sound.

        Raises: as fetching does.
        """
        shelf = self._shelf
        bad = shelf.find_bad(self._control.check)
        log.warning("%s: the checksum differs; bad chunks: %d", shelf.file.path, len(bad))
        if not bad:
            self._read_again()
            return
        for chunk in bad:
            self._control.refetched += 1
            self._fetch(shelf, chunk)
        shelf.hash_again(bad[0].index)
        self._hash_rest(shelf)

    def _read_again(self) -> None:
        """Read chunks a second time, several at once, until the whole is right."""
        chunks = iter(self._shelf.chunks())
        mended = threading.Event()

        def work(number: int) -> None:
            while not mended.is_set():
                with self._guard:
                    chunk = next(chunks, None)
                if chunk is None:
                    return
                if self._replace(chunk, number) and self._is_sound_from(chunk):
                    mended.set()

        with ThreadPoolExecutor(self._readers, thread_name_prefix="repair") as threads:
            list(threads.map(work, range(self._readers)))

    def _is_sound_from(self, chunk: Chunk) -> bool:
        with self._guard:
            self._shelf.hash_again(chunk.index)
            self._hash_rest(self._shelf)
            return self._shelf.is_sound()

    def _replace(self, chunk: Chunk, number: int) -> bool:
        """Read a chunk again beside the old one and take it where it differs."""
        shelf, second = self._shelf, Progress()
        beside = shelf.place.part.with_name(f"{shelf.place.part.name}.again{number}")
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            with os.fdopen(os.open(beside, flags, 0o600), "r+b") as file:

                def sink(offset: int, pieces: list[bytes]) -> None:
                    file.seek(offset - chunk.start)
                    file.writelines(pieces)

                self._control.reread += 1
                checksum = self._fetcher.fetch(shelf.file, chunk, sink, second)
                if checksum == shelf.progress[chunk.index].checksum:
                    return False
                self._control.refetched += 1
                file.seek(0)
                place, checksum = chunk.start, 0
                while piece := file.read(READ_BYTES):
                    shelf.write(place, [piece])
                    checksum = zlib.crc32(piece, checksum)
                    place += len(piece)
            shelf.progress[chunk.index] = Progress(chunk.bytes, checksum)
            shelf.save(chunk.index)
            return True
        finally:
            beside.unlink(missing_ok=True)
