"""An engine whose requests are metered: who asked, what it used, one line in the ledger each."""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Protocol

import msgspec

from freehold.engine.interface import Engine
from freehold.engine.protocol import (
    Delta,
    Done,
    Embedded,
    EngineStats,
    Failed,
    GenerateEvent,
    PrefillProgress,
    Steps,
    Tokenized,
)
from freehold.engine.requests import (
    ChatPrompt,
    GenerateRequest,
    LoadOptions,
    ModelInfo,
    Timings,
    Usage,
)
from freehold.server.metering import EndedRequest, Metering

_numbers = itertools.count(1)


class SteppingEngine(Engine, Protocol):
    """An engine that tells its steps."""

    on_steps: Callable[[Steps], None] | None


class MeteredEngine:
    """Puts a meter in front of the engine of model `ref`; see `interface.Engine`."""

    def __init__(
        self,
        engine: SteppingEngine,
        ref: str,
        metering: Metering,
        learn: Callable[[str, Usage, Timings], None] | None = None,
    ) -> None:
        """Join them; `learn` is told of every answer that ran alone."""
        self._engine = engine
        self._learn = learn
        self._running: set[str] = set()
        self._together: set[str] = set()
        self._ref = ref
        self._metering = metering
        self._name = f"engine-{next(_numbers)}"
        engine.on_steps = lambda told: metering.add_steps(self._name, told)

    @property
    def pid(self) -> int | None:
        """Return the worker's process id while it runs."""
        return self._engine.pid

    async def load(
        self, options: LoadOptions, on_progress: Callable[[float], None] | None = None
    ) -> ModelInfo:
        """Start the worker and load the model."""
        info = await self._engine.load(options, on_progress)
        self._metering.engine_started(self._name)
        return info

    async def generate(self, request: GenerateRequest) -> AsyncIterator[GenerateEvent]:
        """Yield the engine's events; `Done` carries the energy the request used."""
        began = time.monotonic()
        usage, written = Usage(), 0
        self._metering.request_began()
        self._note_beginning(request.id)
        try:
            async with aclosing(self._engine.generate(request)) as events:  # type: ignore[type-var]
                async for event in events:
                    if isinstance(event, Delta):  # nearly all of them
                        written += event.tokens
                    elif isinstance(event, Done):
                        self._note_end(request.id, event)
                        energy = await self._metering.used(request.id, time.monotonic() - began)
                        usage = msgspec.structs.replace(event.usage, energy=energy)
                        event = msgspec.structs.replace(event, usage=usage)
                    else:
                        usage = count_so_far(usage, event)
                    yield event
        finally:
            self._running.discard(request.id)
            self._together.discard(request.id)
            if not usage.completion_tokens:
                # A request that was given up keeps what it used.
                usage = msgspec.structs.replace(usage, completion_tokens=written)
            self._write_down(request, usage, time.monotonic() - began)

    def _note_beginning(self, request_id: str) -> None:
        self._running.add(request_id)
        if len(self._running) > 1:
            self._together |= self._running

    def _note_end(self, request_id: str, event: Done) -> None:
        if self._learn is not None and request_id not in self._together:
            self._learn(self._ref, event.usage, event.timings)

    def _write_down(self, request: GenerateRequest, usage: Usage, duration_s: float) -> None:
        self._metering.request_ended(
            EndedRequest(
                request_id=request.id,
                person=request.priority_key or "owner",
                key_name=request.key,
                model_ref=self._ref,
                prompt_tokens=usage.prompt_tokens,
                cached_tokens=usage.cached_tokens,
                completion_tokens=usage.completion_tokens,
                duration_s=duration_s,
                ended_at=time.time(),
                ended_s=time.monotonic(),
            )
        )

    async def embed(self, inputs: tuple[str | tuple[int, ...], ...]) -> Embedded:
        """Return one normalised vector per input."""
        return await self._engine.embed(inputs)

    async def tokenize(
        self,
        *,
        text: str | None = None,
        chat: ChatPrompt | None = None,
        tokens: tuple[int, ...] | None = None,
        add_special: bool = True,
    ) -> Tokenized:
        """Return tokens of a text or of a rendered chat, or the text of tokens."""
        return await self._engine.tokenize(
            text=text, chat=chat, tokens=tokens, add_special=add_special
        )

    async def cancel(self, request_id: str) -> None:
        """End a request."""
        await self._engine.cancel(request_id)

    async def stats(self) -> EngineStats:
        """Return the worker's counters."""
        return await self._engine.stats()

    async def close(self) -> None:
        """End the worker process."""
        self._metering.engine_ended(self._name)
        await self._engine.close()


def count_so_far(usage: Usage, event: GenerateEvent) -> Usage:
    """Return the usage of a request that has not ended, as far as its events tell."""
    if isinstance(event, Failed):
        return event.usage
    if isinstance(event, PrefillProgress):
        return msgspec.structs.replace(usage, prompt_tokens=event.done)
    return usage
