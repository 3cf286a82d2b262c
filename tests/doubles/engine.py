"""A scriptable stand-in for an engine process and for where engines come from.

    engine = FakeEngine(say("Hello ", "world"))
    engine = FakeEngine(lambda request: [Progress(1, 2), "Hel", Pause(gate), "lo", Crash()])

A reply is a list of steps. Strings and `Delta`s are sent as they are (with the request's id), a
`Pause` waits for its event, a `Crash` ends the engine as a killed worker would. A reply that ends
without `Done` or `Failed` gets a `Done` with usage counted in steps.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from freehold.engine.protocol import (
    Delta,
    Done,
    Embedded,
    EngineStats,
    Failed,
    GenerateEvent,
    PrefillProgress,
    Tokenized,
)
from freehold.engine.requests import (
    ChatPrompt,
    GenerateRequest,
    LoadOptions,
    ModelInfo,
    Timings,
    ToolCallDelta,
    Usage,
)
from freehold.errors import AppError

FAKE_INFO = ModelInfo(
    description="Fake 1B",
    architecture="deepseek2",
    parameters=1_000_000,
    bytes=2_000_000,
    vocab_size=1000,
    trained_context_tokens=8192,
    context_tokens=4096,
    parallel=4,
    embedding_size=4,
    has_encoder=False,
    has_infill=True,
    supports_tools=True,
    supports_thinking=True,
    chat_template="{{ messages }}",
    devices=("CPU",),
    buffers={"CPU": {"model": 2_000_000, "context": 500_000, "compute": 100_000}},
    backend="fake",
)


@dataclass(frozen=True)
class Progress:
    """Tell prefill progress."""

    done: int
    total: int


@dataclass(frozen=True)
class Pause:
    """Wait until the test sets the event."""

    gate: asyncio.Event


@dataclass(frozen=True)
class Crash:
    """End the worker as SIGKILL would."""

    code: str = "engine_crashed"


Step = str | Delta | Progress | Pause | Crash | Done | Failed
Script = Callable[[GenerateRequest], Sequence[Step]]


def say(*steps: Step) -> Script:
    """Return a script that answers every request with `steps`."""
    return lambda _request: steps


def echo(request: GenerateRequest) -> Sequence[Step]:
    """Answer a chat with the words of its last message, one delta each."""
    assert isinstance(request.prompt, ChatPrompt)
    text = str(request.prompt.messages[-1].get("content", ""))
    return [word + " " for word in text.split()]


class FakeEngine:
    """An `Engine` that answers from a script and records what it was asked.

    Attributes:
        requests: every `GenerateRequest` in order.
        cancelled: ids of requests that were cancelled or whose iterator was closed early.
        running: ids of requests that have begun and not ended.
        options: what `load` got, None before.
    """

    def __init__(
        self,
        script: Script = echo,
        *,
        info: ModelInfo = FAKE_INFO,
        load_error: AppError | None = None,
        load_gate: asyncio.Event | None = None,
        load_progress: Sequence[float] = (0.5, 1.0),
        pid: int = 4242,
    ) -> None:
        self.script = script
        self.info = info
        self.load_error = load_error
        self.load_gate = load_gate
        self.load_progress = load_progress
        self.requests: list[GenerateRequest] = []
        self.cancelled: list[str] = []
        self.running: set[str] = set()
        self.options: LoadOptions | None = None
        self.closed = False
        self._pid = pid
        self._alive = False
        self._cancel: dict[str, asyncio.Event] = {}
        self._death: asyncio.Event = asyncio.Event()

    @property
    def pid(self) -> int | None:
        return self._pid if self._alive else None

    async def load(
        self, options: LoadOptions, on_progress: Callable[[float], None] | None = None
    ) -> ModelInfo:
        self.options = options
        for fraction in self.load_progress:
            if on_progress is not None:
                on_progress(fraction)
            await asyncio.sleep(0)
        if self.load_gate is not None:
            await self.load_gate.wait()
        if self.load_error is not None:
            raise self.load_error
        self._alive = True
        return self.info

    async def generate(self, request: GenerateRequest) -> AsyncIterator[GenerateEvent]:
        if not self._alive:
            raise self.crash_error()
        self.requests.append(request)
        self.running.add(request.id)
        stop = self._cancel.setdefault(request.id, asyncio.Event())
        finished = False
        try:
            async for event in self._play(request, stop):
                finished = isinstance(event, Done | Failed)
                yield event
        finally:
            self.running.discard(request.id)
            del self._cancel[request.id]
            if not finished:
                self.cancelled.append(request.id)

    async def _play(
        self, request: GenerateRequest, stop: asyncio.Event
    ) -> AsyncIterator[GenerateEvent]:
        tokens = 0
        for step in self.script(request):
            await asyncio.sleep(0)
            if stop.is_set():
                break
            match step:
                case str():
                    tokens += 1
                    yield Delta(id=request.id, content=step, tokens=1)
                case Progress(done, total):
                    yield PrefillProgress(id=request.id, done=done, total=total)
                case Pause(gate):
                    await self._first_of(gate, stop)
                    if not self._alive:
                        raise self.crash_error()
                    if stop.is_set():
                        break
                case Crash(code):
                    self.kill()
                    raise self.crash_error(code)
                case Delta():
                    tokens += step.tokens
                    yield msgspec.structs.replace(step, id=request.id)
                case Done() | Failed():
                    yield msgspec.structs.replace(step, id=request.id)
                    return
        yield Done(
            id=request.id,
            finish_reason="cancelled" if stop.is_set() else "stop",
            usage=Usage(prompt_tokens=7, completion_tokens=tokens),
            timings=Timings(decode_s=0.5, decode_tokens_per_s=tokens * 2.0),
        )

    async def _first_of(self, *events: asyncio.Event) -> None:
        tasks = [asyncio.create_task(event.wait()) for event in (*events, self._death)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    def kill(self) -> None:
        """Die as a worker killed from outside does; waiting requests fail."""
        self._alive = False
        self._death.set()

    def crash_error(self, code: str = "engine_crashed") -> AppError:
        """Return the error requests get when the worker is gone."""
        return AppError(
            code,
            "The engine process of this model was killed by signal 9 (SIGKILL).",
            "Ask again: the model is loaded anew.",
            retryable=True,
            detail={"signal": 9},
        )

    async def embed(self, inputs: tuple[str | tuple[int, ...], ...]) -> Embedded:
        vectors = tuple(struct.pack("<4f", 0.5, 0.5, 0.5, 0.5) for _ in inputs)
        return Embedded(id="embed", vectors=vectors, prompt_tokens=3 * len(inputs))

    async def tokenize(
        self,
        *,
        text: str | None = None,
        chat: ChatPrompt | None = None,
        tokens: tuple[int, ...] | None = None,
        add_special: bool = True,
    ) -> Tokenized:
        if tokens is not None:
            return Tokenized(id="tokenize", text=" ".join(f"t{token}" for token in tokens))
        words = (text or " ".join(str(m.get("content", "")) for m in chat.messages if chat)).split()
        return Tokenized(id="tokenize", tokens=tuple(range(len(words))), text=text or "")

    async def cancel(self, request_id: str) -> None:
        if request_id in self._cancel:
            self._cancel[request_id].set()

    async def stats(self) -> EngineStats:
        return EngineStats(
            running=len(self.running),
            waiting=0,
            cells_used=10 * len(self.running),
            cells_total=self.info.context_tokens,
            decode_tokens_per_s=12.5,
            prefill_tokens_per_s=100.0,
            tokens_generated=42,
            prompt_tokens=7 * len(self.requests),
            cached_prompt_tokens=0,
            steps=42,
            resident_bytes=123_456,
        )

    async def close(self) -> None:
        self.closed = True
        self.kill()


@dataclass
class FakeLease:
    """A held fake engine."""

    ref: str
    engine: FakeEngine

    @property
    def info(self) -> ModelInfo:
        return self.engine.info


@dataclass
class FakeEngines:
    """An `EngineSource` over named fake engines.

    `errors` names refs whose lease fails; `leased` records every lease in order; an engine that
    was killed is loaded anew by the next lease.
    """

    engines: Mapping[str, FakeEngine] = field(default_factory=dict)
    errors: dict[str, AppError] = field(default_factory=dict)
    leased: list[str] = field(default_factory=list)
    held: int = 0

    @contextlib.asynccontextmanager
    async def lease(
        self, ref: str, on_progress: Callable[[float], None] | None = None
    ) -> AsyncIterator[FakeLease]:
        if ref in self.errors:
            raise self.errors[ref]
        if ref not in self.engines:
            raise AppError("model_not_found", f"There is no model {ref!r}.", "Import it first.")
        engine = self.engines[ref]
        if engine.pid is None:
            engine._death.clear()
            await engine.load(LoadOptions(path=f"/models/{ref}.gguf"), on_progress)
        self.leased.append(ref)
        self.held += 1
        try:
            yield FakeLease(ref, engine)
        finally:
            self.held -= 1


def fake_call(name: str, arguments: str, call_id: str = "call_1") -> list[Any]:
    """Return the deltas of one tool call, its arguments in two pieces."""

    half = len(arguments) // 2
    return [
        Delta(id="", tool_calls=(ToolCallDelta(index=0, call_id=call_id, name=name),), tokens=1),
        Delta(id="", tool_calls=(ToolCallDelta(index=0, arguments=arguments[:half]),), tokens=1),
        Delta(id="", tool_calls=(ToolCallDelta(index=0, arguments=arguments[half:]),), tokens=1),
    ]
