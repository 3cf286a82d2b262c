"""A model kept busy for a trial: answers that nobody reads, on the machine's own terms."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

import msgspec

from freehold.engine.interface import EngineSource, Lease
from freehold.engine.protocol import Delta, Done, Failed
from freehold.engine.requests import GenerateRequest, SamplingParams, TextPrompt
from freehold.errors import AppError
from freehold.wire import EngineState

TRIAL: Final = "trial"
STREAMS: Final = 4
TOKENS: Final = 256
SAMPLING: Final = SamplingParams(temperature=0, ignore_eos=True)
_numbers = itertools.count(1)


@dataclass(slots=True)
class Busy:
    """What a busy model has done so far."""

    model: str
    streams: int
    tokens: int = 0


class BusyModel:
    """Lets the loaded model answer, or loads the one that answers by default."""

    def __init__(
        self,
        engines: EngineSource,
        states: Callable[[], tuple[EngineState, ...]],
        choose: Callable[[], Awaitable[str]],
    ) -> None:
        self._engines = engines
        self._states = states
        self._choose = choose

    async def model(self) -> str:
        """Return the model that would be used.

        Raises: AppError where there is none.
        """
        ready = [s.ref for s in self._states() if s.phase == "ready" and s.parallel]
        return ready[0] if ready else await self._choose()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Busy]:
        """Keep a model busy inside the block.

        Raises: AppError where no model can be loaded.
        """
        async with self._engines.lease(await self.model()) as lease:
            busy = Busy(lease.ref, max(1, min(STREAMS, lease.info.parallel)))
            streams = [asyncio.create_task(_stream(lease, busy)) for _ in range(busy.streams)]
            try:
                yield busy
                for stream in streams:
                    if stream.done() and stream.exception() is not None:
                        stream.result()
            finally:
                for stream in streams:
                    stream.cancel()
                await asyncio.gather(*streams, return_exceptions=True)


async def _stream(lease: Lease, busy: Busy) -> None:
    while True:
        request = GenerateRequest(
            id=f"{TRIAL}-{next(_numbers)}",
            key=TRIAL,
            priority_key=TRIAL,
            prompt=TextPrompt(text="A long letter about the sea, the wind and the harbour:"),
            sampling=SAMPLING,
            max_tokens=TOKENS,
        )
        async with aclosing(lease.engine.generate(request)) as events:  # type: ignore[type-var]
            async for event in events:
                if isinstance(event, Delta):
                    busy.tokens += event.tokens
                elif isinstance(event, Failed):
                    raise AppError.from_dict(msgspec.to_builtins(event.error))
                elif isinstance(event, Done):
                    break
        await asyncio.sleep(0)
