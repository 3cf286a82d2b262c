"""What happens on the server, numbered, for every window that listens.

The bus keeps the last events in one bounded ring; a reader is only a place in it, so a slow
reader costs no memory: once the ring has gone past its place it is told to read the state again.
Text is merged where it is made (a reply tells at most every 50 ms), before it is numbered, so
numbers have no gaps.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

import msgspec

from freehold import wire

RING_EVENTS: Final = 4096
RING_BYTES: Final = 8 << 20
HEARTBEAT_S: Final = 15.0

_encoder = msgspec.json.Encoder()


def first_number() -> int:
    """Return where a server process begins to number.

    Milliseconds since 1970: the place a reader had in an earlier process is never mistaken for
    one in this, and the numbers stay exact in every JSON reader.
    """
    return time.time_ns() // 1_000_000


class Bus:
    """The numbered events of one server process."""

    def __init__(
        self, *, ring_events: int = RING_EVENTS, ring_bytes: int = RING_BYTES, start: int = 0
    ) -> None:
        self._ring: deque[tuple[int, bytes]] = deque()
        self._ring_events = ring_events
        self._ring_bytes = ring_bytes
        self._held_bytes = 0
        self._seq = start
        self._guard = threading.Lock()
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._closed = False

    @property
    def seq(self) -> int:
        """Return the number of the last event."""
        return self._seq

    @property
    def readers(self) -> int:
        """Return how many readers follow the stream now."""
        return len(self._waiting)

    def publish(self, event: wire.AnyEvent) -> None:
        """Number an event and wake every reader; callable from any thread."""
        with self._guard:
            if self._closed:
                return
            self._seq += 1
            data = _encoder.encode(wire.Envelope(seq=self._seq, event=event))
            self._ring.append((self._seq, data))
            self._held_bytes += len(data)
            while len(self._ring) > self._ring_events or (
                self._held_bytes > self._ring_bytes and len(self._ring) > 1
            ):
                self._held_bytes -= len(self._ring.popleft()[1])
        self._wake()

    def close(self) -> None:
        """End every reader's stream; the server is going down."""
        with self._guard:
            self._closed = True
        self._wake()

    async def follow(
        self, after: int, *, heartbeat_s: float | None = None
    ) -> AsyncIterator[tuple[int, bytes] | None]:
        """Yield (number, encoded envelope) after `after`; None when nothing came for a heartbeat.

        A place that is no longer (or not yet) in the ring yields one `Resync` that carries the
        newest number, and the stream goes on from there.
        """
        place = after
        wake = asyncio.Event()
        entry = (asyncio.get_running_loop(), wake)
        with self._guard:
            self._waiting.add(entry)
        try:
            while True:
                wake.clear()
                pending, place = self._since(place)
                for item in pending:
                    yield item
                if pending:
                    continue
                if self._closed:
                    return
                try:
                    await asyncio.wait_for(wake.wait(), heartbeat_s)
                except TimeoutError:
                    yield None
        finally:
            with self._guard:
                self._waiting.discard(entry)

    def _since(self, place: int) -> tuple[list[tuple[int, bytes]], int]:
        """Return what follows `place`, and the new place.

        One event at a time: whoever reads slowly must not hold the ring's content.
        """
        with self._guard:
            first = self._ring[0][0] if self._ring else self._seq + 1
            if place == self._seq:
                return [], place
            if place > self._seq or place + 1 < first:
                notice = wire.Envelope(seq=self._seq, event=wire.Resync())
                return [(self._seq, _encoder.encode(notice))], self._seq
            item = self._ring[place + 1 - first]
            return [item], item[0]

    def _wake(self) -> None:
        with self._guard:
            waiting = list(self._waiting)
        for loop, wake in waiting:
            # The loop of a reader that is going away may be closed already.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(wake.set)
