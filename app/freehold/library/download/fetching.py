"""Fetching one chunk: ask for its bytes, check what comes, write it, go on where a cut left off."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import random
import re
import socket
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from freehold.library.download.origin import (
    Address,
    Origin,
    TryAgainError,
    changed,
    check_status,
    describe,
)
from freehold.library.download.ranges import Chunk
from freehold.library.download.retry import StallWatch, backoff_s
from freehold.library.variants import RepoFile

WRITE_BYTES: Final = 1 << 20
WRITE_S: Final = 0.2
LEAST_BYTES_PER_S: Final = 4096.0
SAVE_BYTES: Final = 16 << 20  # of a chunk under way, how often its progress is saved
_RANGE: Final = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})")


class StoppedError(Exception):
    """The download was told to stop."""


class Throttle:
    """Lets through so many bytes a second, for all connections together; 0 is no limit."""

    def __init__(self, bytes_per_s: float = 0) -> None:
        self.bytes_per_s = bytes_per_s
        self._guard = threading.Lock()
        self._free_at_s = 0.0

    def reserve(self, count: int, now_s: float) -> float:
        """Count `count` bytes; return how long to wait before reading on."""
        if self.bytes_per_s <= 0:
            return 0.0
        with self._guard:
            start_s = max(self._free_at_s, now_s)
            self._free_at_s = start_s + count / self.bytes_per_s
            return self._free_at_s - now_s


@dataclass(slots=True)
class Control:
    """What all connections of a download share.

    refetched: chunks that were bad and came again; reread: chunks read a second time to compare.
    """

    throttle: Throttle = field(default_factory=Throttle)
    stall_s: float = 20.0
    backoff_first_s: float = 0.5
    stopping: threading.Event = field(default_factory=threading.Event)
    note: str = ""
    refetched: int = 0
    reread: int = 0
    received_bytes: int = 0
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _sockets: set[Any] = field(default_factory=set)

    def stop(self) -> None:
        """End every connection at once."""
        self.stopping.set()
        with self._guard:
            for line in self._sockets:
                with contextlib.suppress(OSError):
                    # Not SSLSocket's own: it would let ciphertext through as data.
                    socket.socket.shutdown(line, socket.SHUT_RDWR)

    def check(self) -> None:
        """Raise StoppedError when the download is to end."""
        if self.stopping.is_set():
            raise StoppedError

    @contextlib.contextmanager
    def holding(self, response: httpx.Response) -> Any:
        """Let `stop` break this response off."""
        stream = response.extensions.get("network_stream")
        line = stream.get_extra_info("socket") if stream is not None else None
        with self._guard:
            if line is not None:
                self._sockets.add(line)
        try:
            self.check()
            yield
        finally:
            with self._guard:
                self._sockets.discard(line)

    def count(self, received: int) -> None:
        with self._guard:
            self.received_bytes += received


@dataclass(slots=True)
class Progress:
    """How far a chunk has come: bytes on disk and their running checksum."""

    done: int = 0
    checksum: int = 0


class Fetcher:
    """Fetches chunks over one client; several threads use it at once."""

    def __init__(
        self, origin: Origin, client: httpx.Client, control: Control, repository: str
    ) -> None:
        self._origin = origin
        self._client = client
        self._control = control
        self._repository = repository
        self._dice = random.Random()  # noqa: S311 - jitter

    def fetch(
        self,
        file: RepoFile,
        chunk: Chunk,
        sink: Callable[[int, list[bytes]], None],
        progress: Progress,
    ) -> int:
        """Hand every byte of `chunk` to `sink(offset, pieces)`; return the checksum.

        Tries again for ever where that can help.
        Raises: StoppedError, or AppError where a person has to do something.
        """
        failures = 0
        while progress.done < chunk.bytes:
            self._control.check()
            before = progress.done
            try:
                self._fetch_some(file, chunk, sink, progress)
                failures = 0
                continue
            except TryAgainError as error:
                failures = 1 if progress.done > before else failures + 1
                self._wait(error, failures)
        self._control.note = ""
        return progress.checksum

    def _wait(self, error: TryAgainError, failures: int) -> None:
        wait_s = error.wait_s
        if wait_s is None:
            wait_s = backoff_s(failures, self._dice, first_s=self._control.backoff_first_s)
        if wait_s >= 1:
            self._control.note = f"{error.reason[0].upper()}{error.reason[1:]}; trying again."
        self._control.stopping.wait(wait_s)

    def _fetch_some(
        self,
        file: RepoFile,
        chunk: Chunk,
        sink: Callable[[int, list[bytes]], None],
        progress: Progress,
    ) -> None:
        address = self._origin.address(file)
        start = chunk.start + progress.done
        headers = {
            **address.headers,
            "Range": f"bytes={start}-{chunk.end - 1}",
            "Want-Content-Digest": "sha-256=10",
        }
        try:
            with (
                self._client.stream("GET", address.url, headers=headers) as response,
                self._control.holding(response),
            ):
                self._check_head(response, file, chunk, start, address)
                self._read(response, chunk, sink, progress)
        except (httpx.HTTPError, httpx.StreamError) as error:
            self._control.check()
            if not isinstance(error, httpx.HTTPError):
                raise TryAgainError("the connection broke") from error
            raise TryAgainError(describe(error)) from error

    def _check_head(
        self, response: httpx.Response, file: RepoFile, chunk: Chunk, start: int, address: Address
    ) -> None:
        """Raise unless the answer is exactly the bytes asked for."""
        status = response.status_code
        if status in (401, 403, 410) and not address.headers:
            self._origin.forget(file, address)
            raise TryAgainError("the address had expired")
        if status == 416:
            raise changed(file.path)
        if status in (301, 302, 303, 307, 308):
            self._origin.forget(file, address)
            raise TryAgainError("the address had moved")
        if status not in (200, 206):
            check_status(response, self._repository, has_token=bool(address.headers))
        if status == 206:
            match = _RANGE.fullmatch(response.headers.get("content-range", ""))
            if match is None or (int(match[1]), int(match[2])) != (start, chunk.end - 1):
                raise TryAgainError("other bytes came than were asked for")
            if int(match[3]) != file.bytes:
                raise changed(file.path)
            return
        whole = start == 0 and chunk.end == file.bytes
        length = response.headers.get("content-length", "")
        if not whole or length != str(file.bytes):
            self._origin.forget(file, address)
            raise TryAgainError("something else than the file came (a sign-in page?)")

    def _read(
        self,
        response: httpx.Response,
        chunk: Chunk,
        sink: Callable[[int, list[bytes]], None],
        progress: Progress,
    ) -> None:
        control = self._control
        watch = StallWatch(
            time.monotonic(), window_s=control.stall_s, least_bytes_per_s=LEAST_BYTES_PER_S
        )
        claim = _digest(response) if progress.done == 0 else None
        left = chunk.bytes - progress.done
        pieces: list[bytes] = []
        held, written_s = 0, time.monotonic()
        try:
            for piece in response.iter_raw():
                control.check()
                if len(piece) > left - held:
                    piece = piece[: left - held]
                pieces.append(piece)
                held += len(piece)
                now_s = time.monotonic()
                wait_s = control.throttle.reserve(len(piece), now_s)
                if wait_s > 0:
                    control.stopping.wait(wait_s)
                if watch.take(len(piece), now_s, wait_s):
                    raise TryAgainError("the connection had become too slow")
                if held >= WRITE_BYTES or now_s - written_s >= WRITE_S:
                    left -= held
                    self._write(chunk, sink, progress, pieces, claim)
                    pieces, held, written_s = [], 0, now_s
        finally:
            if not control.stopping.is_set():
                self._write(chunk, sink, progress, pieces, claim)
        if claim is not None and progress.done == chunk.bytes and claim[0].digest() != claim[1]:
            progress.done = progress.checksum = 0
            control.refetched += 1
            raise TryAgainError("a chunk came damaged")

    def _write(
        self,
        chunk: Chunk,
        sink: Callable[[int, list[bytes]], None],
        progress: Progress,
        pieces: list[bytes],
        claim: tuple[Any, bytes] | None,
    ) -> None:
        count = sum(map(len, pieces))
        if not count:
            return
        sink(chunk.start + progress.done, pieces)
        checksum = progress.checksum
        for piece in pieces:
            checksum = zlib.crc32(piece, checksum)
            if claim is not None:
                claim[0].update(piece)
        progress.checksum = checksum
        progress.done += count
        self._control.count(count)


def write_at(descriptor: int, offset: int, pieces: list[bytes]) -> None:
    """Write all pieces at a place of a file.

    Raises: OSError.
    """
    data: list[bytes | memoryview] = list(pieces)
    while data:
        written = os.pwritev(descriptor, data[:512], offset)
        offset += written
        while data and written >= len(data[0]):
            written -= len(data.pop(0))
        if written:
            data[0] = memoryview(data[0])[written:]


def _digest(response: httpx.Response) -> tuple[Any, bytes] | None:
    """Return a hash to fill and what it must become, where the server says (RFC 9530)."""
    match = re.search(r"sha-256=:([A-Za-z0-9+/=]{44}):", response.headers.get("content-digest", ""))
    if match is None:
        return None
    return hashlib.sha256(), base64.b64decode(match[1])
