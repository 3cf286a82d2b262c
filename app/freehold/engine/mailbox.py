"""Events of one request on their way to whoever reads them; a slow reader gets them merged."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from freehold.engine.protocol import Delta, GenerateEvent, PrefillProgress, Queued
from freehold.errors import AppError

WAITING_EVENTS: Final = 16  # beyond so many, new deltas are merged into the last one


class Mailbox:
    """Holds a bounded number of events; text is merged rather than dropped."""

    def __init__(self) -> None:
        self._events: deque[GenerateEvent] = deque()
        self._error: AppError | None = None
        self._arrived = asyncio.Event()

    def __len__(self) -> int:
        return len(self._events)

    def put(self, event: GenerateEvent) -> None:
        """Add an event; never blocks."""
        events = self._events
        last = events[-1] if events else None
        if isinstance(event, Queued | PrefillProgress) and type(last) is type(event):
            events[-1] = event
        elif len(events) >= WAITING_EVENTS and isinstance(event, Delta) and isinstance(last, Delta):
            events[-1] = merge(last, event)
        else:
            events.append(event)
        self._arrived.set()

    def fail(self, error: AppError) -> None:
        """Let the reader get what is here, then the error."""
        self._error = error
        self._arrived.set()

    async def take(self) -> GenerateEvent:
        """Return the next event.

        Raises: AppError given to `fail`, after the events before it.
        """
        while not self._events:
            if self._error is not None:
                raise self._error
            self._arrived.clear()
            await self._arrived.wait()
        return self._events.popleft()


def merge(first: Delta, second: Delta) -> Delta:
    """Return two deltas of a request as one."""
    return Delta(
        id=first.id,
        content=first.content + second.content,
        reasoning=first.reasoning + second.reasoning,
        tool_calls=first.tool_calls + second.tool_calls,
        logprobs=first.logprobs + second.logprobs,
        tokens=first.tokens + second.tokens,
    )
