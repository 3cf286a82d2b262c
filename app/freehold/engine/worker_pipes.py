"""The server's side of a worker's three pipes, on the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import subprocess
from collections import deque
from collections.abc import Callable
from typing import IO, Final, cast

from freehold.engine.pipe import HEADER_BYTES, FrameError, decode_worker, frame_size
from freehold.engine.protocol import WorkerMessage

log = logging.getLogger(__name__)

LOG_LINES: Final = 40
LOG_LINE_CHARACTERS: Final = 400
LOG_DRAIN_S: Final = 0.1


class WorkerPipes:
    """Reads frames and log lines of a worker and writes commands, never blocking the loop.

    receive: called for each message. lost: called once, when the worker closes its output.
    """

    def __init__(self, receive: Callable[[WorkerMessage], None], lost: Callable[[], None]) -> None:
        self._receive = receive
        self._lost = lost
        self._buffer = bytearray()
        self._words: deque[str] = deque(maxlen=LOG_LINES)
        self._open_line = b""
        self._log_ended = asyncio.Event()
        self._heard_s = 0.0
        self._transports: list[asyncio.BaseTransport] = []
        self._input: asyncio.WriteTransport | None = None

    async def open(self, process: subprocess.Popen[bytes]) -> None:
        """Take over the pipes of a process just started."""
        loop = asyncio.get_running_loop()
        self._heard_s = loop.time()
        frames = _Reader(self._take_bytes, self._lost)
        words = _Reader(self._take_log, self._log_ended.set)
        for protocol, stream in ((frames, process.stdout), (words, process.stderr)):
            reading, _ = await loop.connect_read_pipe(_giver(protocol), cast(IO[bytes], stream))
            self._transports.append(reading)
        writing, _ = await loop.connect_write_pipe(
            asyncio.BaseProtocol, cast(IO[bytes], process.stdin)
        )
        self._input = writing
        self._transports.append(writing)

    def write(self, frame: bytes) -> None:
        """Queue a frame; the transport keeps what the pipe does not take yet."""
        if self._input is not None and not self._input.is_closing():
            self._input.write(frame)

    @property
    def silent_s(self) -> float:
        """Return how long the worker has said nothing."""
        return asyncio.get_running_loop().time() - self._heard_s

    def note_heard_if_idle(self, is_idle: bool) -> None:
        """Start counting silence now, when nothing was owed until now."""
        if is_idle:
            self._heard_s = asyncio.get_running_loop().time()

    def last_words(self) -> list[str]:
        """Return the last lines of the worker's log."""
        return list(self._words)

    async def drain_log(self) -> None:
        """Wait a moment for the rest of a dead worker's log."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOG_DRAIN_S):
                await self._log_ended.wait()

    def close(self) -> None:
        """Close all three."""
        for transport in self._transports:
            transport.close()

    def _take_bytes(self, data: bytes) -> None:
        self._heard_s = asyncio.get_running_loop().time()
        buffer = self._buffer
        buffer += data
        while len(buffer) >= HEADER_BYTES:
            try:
                end = HEADER_BYTES + frame_size(bytes(buffer[:HEADER_BYTES]))
                if len(buffer) < end:
                    return
                messages = decode_worker(bytes(buffer[HEADER_BYTES:end]))
            except FrameError as error:
                log.error("a worker's message cannot be read: %s", error)
                self.close()
                return
            del buffer[:end]
            for message in messages:
                self._receive(message)

    def _take_log(self, data: bytes) -> None:
        *lines, self._open_line = (self._open_line + data).split(b"\n")
        self._open_line = self._open_line[-LOG_LINE_CHARACTERS:]
        for line in lines:
            text = line[:LOG_LINE_CHARACTERS].decode("utf-8", "replace").strip()
            if text:
                self._words.append(text)


class _Reader(asyncio.Protocol):
    """Hands bytes on, and tells the end once."""

    def __init__(self, take: Callable[[bytes], None], ended: Callable[[], None]) -> None:
        self._take = take
        self._ended = ended

    def data_received(self, data: bytes) -> None:
        self._take(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended()


def _giver(protocol: _Reader) -> Callable[[], _Reader]:
    return lambda: protocol
