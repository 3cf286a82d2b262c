"""Server-sent events to one client, written straight to ASGI.

This is the hot path: a token costs one `send` of prepared bytes. Heartbeats keep proxies and
clients waiting while a model loads, and a client that stops reading is let go.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from freehold.server.gate import Message, Receive, Send

log = logging.getLogger(__name__)

FIRST_HEARTBEAT_S: Final = 2.0
HEARTBEAT_S: Final = 5.0
STUCK_LIMIT_S: Final = 30.0
_LOOK_S: Final = 0.5

STREAM_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"x-accel-buffering", b"no"),
]


class EventStream:
    """One answer under way.

    Until something is written, or a heartbeat was due, no status has been sent and an error can
    still be answered as an HTTP status.

    Attributes:
        note: what the heartbeat comment says is being waited for.
    """

    def __init__(self, send: Send, *, first_heartbeat_s: float = FIRST_HEARTBEAT_S) -> None:
        self._send = send
        self._first_heartbeat_s = first_heartbeat_s
        self._started = False
        self._finished = False
        self._start_lock = asyncio.Lock()
        self._pending_since: float | None = None
        self._loop = asyncio.get_running_loop()
        self._last_s = self._loop.time()
        self.note = "waiting"

    @property
    def started(self) -> bool:
        """Return whether the status line has been sent."""
        return self._started

    async def write(self, data: bytes) -> None:
        """Send whole events."""
        if not self._started:
            await self._start()
        now = self._loop.time()
        self._last_s = now
        self._pending_since = now
        await self._send({"type": "http.response.body", "body": data, "more_body": True})
        self._pending_since = None

    async def finish(self, data: bytes = b"") -> None:
        """Send the last events and end the answer."""
        if not self._started:
            await self._start()
        self._finished = True
        await self._send({"type": "http.response.body", "body": data, "more_body": False})

    async def _start(self) -> None:
        async with self._start_lock:
            if self._started:
                return
            message: Message = {
                "type": "http.response.start",
                "status": 200,
                "headers": list(STREAM_HEADERS),
            }
            await self._send(message)
            self._started = True

    async def keep_alive(self) -> None:
        """Write comments while nothing else is written; return only when the client is stuck."""
        while True:
            await asyncio.sleep(_LOOK_S)
            now = self._loop.time()
            if self._pending_since is not None:
                if now - self._pending_since > STUCK_LIMIT_S:
                    return
                continue
            limit = HEARTBEAT_S if self._started else self._first_heartbeat_s
            if not self._finished and now - self._last_s >= limit:
                await self.write(b": %s\n\n" % self.note.encode())


async def run_while_connected(
    receive: Receive,
    work: Coroutine[Any, Any, None],
    keep_alive: Callable[[], Awaitable[None]] | None = None,
) -> bool:
    """Run `work`; cancel it when the client leaves or `keep_alive` gives up.

    Return whether the work came to its end; its exception is raised here.
    """
    worker = asyncio.ensure_future(work)
    watchers: list[asyncio.Future[None]] = [asyncio.ensure_future(_departure(receive))]
    if keep_alive is not None:
        watchers.append(asyncio.ensure_future(keep_alive()))
    try:
        await asyncio.wait([worker, *watchers], return_when=asyncio.FIRST_COMPLETED)
        if worker.done():
            worker.result()
            return True
        return False
    finally:
        left = [task for task in (worker, *watchers) if not task.done()]
        for task in left:
            task.cancel()
        for outcome in await asyncio.gather(*left, return_exceptions=True):
            if isinstance(outcome, Exception):
                log.info("a request ended by its client failed: %s", type(outcome).__name__)


async def _departure(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
