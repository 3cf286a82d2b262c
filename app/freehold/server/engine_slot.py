"""What the supervisor knows about one model's engine, and how crashes count against it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from freehold.engine.interface import Engine
from freehold.engine.protocol import EngineStats
from freehold.engine.requests import ModelInfo
from freehold.errors import AppError
from freehold.wire import EngineState, ErrorInfo, LoadRequest, ModelEntry

CRASH_CODES = frozenset({"engine_crashed", "engine_stalled"})
CRASH_WINDOW_S = 300.0
MAX_CRASHES = 3
FIRST_PAUSE_S = 0.5

Phase = Literal["loading", "ready", "failed", "unloading"]


@dataclass(eq=False, slots=True)
class EngineSlot:
    """One model and its engine process; `phase` is None while there is none.

    turn: held while its process starts or ends, so that it never has two.
    retry_at: clock time before which no new load begins; quarantine: why none begins at all.
    """

    entry: ModelEntry
    request: LoadRequest
    engine: Engine | None = None
    info: ModelInfo | None = None
    phase: Phase | None = None
    fraction: float = 0.0
    error: AppError | None = None
    leases: int = 0
    loading: asyncio.Task[None] | None = None
    last_used: float = 0.0
    told_at: float = 0.0
    stats: EngineStats | None = None
    listeners: list[Callable[[float], None]] = field(default_factory=list)
    crashes: deque[float] = field(default_factory=deque)
    retry_at: float = 0.0
    quarantine: AppError | None = None
    recorded_pid: int | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _told: EngineState | None = None

    @property
    def ref(self) -> str:
        return self.entry.ref

    def held_bytes(self) -> dict[str, int]:
        """Return what its engine holds by device, as llama.cpp reported it when it was loaded."""
        if self.info is None or not self.info.buffers:
            return {"CPU": self.entry.bytes}
        return {name: sum(kinds.values()) for name, kinds in self.info.buffers.items()}

    def fail(self, error: AppError, now: float) -> None:
        """Mark the engine lost; a crash lengthens the pause before the next load."""
        self.phase, self.error, self.stats = "failed", error, None
        if error.code not in CRASH_CODES:
            return
        self.crashes.append(now)
        while self.crashes[0] < now - CRASH_WINDOW_S:
            self.crashes.popleft()
        if len(self.crashes) > 1:
            self.retry_at = now + FIRST_PAUSE_S * 4 ** (len(self.crashes) - 2)
        if len(self.crashes) >= MAX_CRASHES:
            self.quarantine = self.error = AppError(
                "engine_crashed",
                f"{self.ref} crashed {len(self.crashes)} times in five minutes and stays unloaded. "
                f"Last cause: {error.message}",
                "Load it by hand to try again, with a smaller context or fewer GPU layers.",
                detail={**error.detail, "crashes": len(self.crashes)},
            )

    def forgive(self) -> None:
        """Forget the crashes: a person wants to try again."""
        self.crashes.clear()
        self.retry_at, self.quarantine = 0.0, None

    def state(self, unload_at: float | None) -> EngineState:
        """Return the engine as clients see it."""
        info, stats = self.info, self.stats
        assert self.phase is not None
        return EngineState(
            ref=self.ref,
            phase=self.phase,
            fraction=self.fraction,
            pid=self.engine.pid if self.engine else None,
            backend=info.backend if info else "",
            devices=info.devices if info else (),
            context_tokens=info.context_tokens if info else 0,
            trained_context_tokens=info.trained_context_tokens if info else 0,
            parallel=info.parallel if info else 0,
            running=stats.running if stats else 0,
            waiting=stats.waiting if stats else 0,
            cells_used=stats.cells_used if stats else 0,
            decode_tokens_per_s=stats.decode_tokens_per_s if stats else 0.0,
            resident_bytes=stats.resident_bytes if stats else 0,
            supports_tools=info.supports_tools if info else False,
            supports_thinking=info.supports_thinking if info else False,
            unload_at=round(unload_at) if unload_at is not None else None,
            error=to_error_info(self.error) if self.error else None,
        )

    def tell(self, state: EngineState | None) -> bool:
        """Return whether `state` differs from what was told last, and remember it as told."""
        if state == self._told:
            return False
        self._told = state
        return True


def to_error_info(error: AppError) -> ErrorInfo:
    """Return an error as a value of the API."""
    return msgspec.convert(error.to_dict(), ErrorInfo)


def unloaded(ref: str) -> AppError:
    """Return the error of those who waited for a model that was unloaded."""
    return AppError(
        "cancelled", f"{ref} was unloaded.", "Ask again: the model is loaded anew.", retryable=True
    )


def vanished(ref: str) -> AppError:
    """Return the error of a model whose process is gone and said nothing."""
    return AppError(
        "engine_crashed",
        f"The engine process of {ref} ended unexpectedly.",
        "Ask again: the model is loaded anew.",
        retryable=True,
    )
