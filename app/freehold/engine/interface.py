"""The `Engine` seam: one loaded model wherever it runs, and where loaded models come from."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from freehold.engine.protocol import Embedded, EngineStats, GenerateEvent, Tokenized
from freehold.engine.requests import ChatPrompt, GenerateRequest, LoadOptions, ModelInfo


class Engine(Protocol):
    """One loaded model, wherever it runs.

    Every method raises AppError: `engine_crashed` when the worker died (with the signal and the
    last words of llama.cpp in `detail`), `engine_stalled` when it stopped answering.
    """

    async def load(
        self, options: LoadOptions, on_progress: Callable[[float], None] | None = None
    ) -> ModelInfo:
        """Start the worker and load the model."""
        ...

    def generate(self, request: GenerateRequest) -> AsyncIterator[GenerateEvent]:
        """Yield events until `Done` or `Failed`; closing the iterator early cancels the request."""
        ...

    async def embed(self, inputs: tuple[str | tuple[int, ...], ...]) -> Embedded:
        """Return one normalised vector per input."""
        ...

    async def tokenize(
        self,
        *,
        text: str | None = None,
        chat: ChatPrompt | None = None,
        tokens: tuple[int, ...] | None = None,
        add_special: bool = True,
    ) -> Tokenized:
        """Return tokens of a text or of a rendered chat, or the text of tokens."""
        ...

    async def cancel(self, request_id: str) -> None:
        """End a request; its slot is free within one step."""
        ...

    async def stats(self) -> EngineStats:
        """Return the worker's counters."""
        ...

    async def close(self) -> None:
        """End the worker process and free its memory."""
        ...

    @property
    def pid(self) -> int | None:
        """Return the worker's process id while it runs."""
        ...


class Lease(Protocol):
    """A ready engine that stays loaded while it is held."""

    @property
    def ref(self) -> str: ...

    @property
    def engine(self) -> Engine: ...

    @property
    def info(self) -> ModelInfo: ...


class EngineSource(Protocol):
    """Where features get engines from; the server's supervisor is the real body."""

    def lease(
        self, ref: str, on_progress: Callable[[float], None] | None = None
    ) -> AbstractAsyncContextManager[Lease]:
        """Load `ref` if needed, keep it from being unloaded, and hand it out.

        Raises: AppError `model_not_found`, `does_not_fit`, `invalid_model`, `engine_crashed` or
        `busy`.
        """
        ...
