"""The power-limit sweep as it runs: one minute of answers at the limit a person has set.

Freehold reads the limit and never sets it; it shows the command.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

from freehold.devices.nvml import Nvml, PowerLimits
from freehold.errors import AppError, internal
from freehold.power.limits import (
    best_point,
    limit_command,
    missing_limits,
    newest_by_limit,
    sweep_sentence,
)
from freehold.power.readings import Level
from freehold.power.sampler import MeterReader
from freehold.power.store import PowerStore
from freehold.server.busy_model import Busy
from freehold.wire_power import LimitPoint, LimitState

log = logging.getLogger(__name__)

SETTLE_S: Final = 8.0
MEASURE_S: Final = 52.0
EVERY_S: Final = 1.0
GPU: Final = 0
NO_GPU: Final = (
    "There is no NVIDIA GPU here whose power limit could be set, so there is nothing to compare."
)


class LimitSweep:
    """Measures energy per token at the present limit, and keeps the points.

    reader: makes what reads the meters that are counted. busy: keeps a model busy in its block.
    """

    def __init__(
        self,
        nvml: Nvml | None,
        store: PowerStore,
        reader: Callable[[], MeterReader],
        busy: Callable[[], AbstractAsyncContextManager[Busy]],
        model: Callable[[], Awaitable[str]],
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._nvml, self._store = nvml, store
        self._reader, self._busy, self._model = reader, busy, model
        self._clock, self._wall_clock, self._sleep = clock, wall_clock, sleep
        self._task: asyncio.Task[None] | None = None
        self._ends_s = 0.0
        self._problem = ""

    async def state(self) -> LimitState:
        """Return what was measured and what to set next."""
        limits = await asyncio.to_thread(self._limits)
        if limits is None:
            return LimitState(problem=NO_GPU)
        try:
            model = await self._model()
        except AppError as error:
            return LimitState(gpu=limits.name, limit_watts=limits.now_watts, problem=error.sentence)
        points = newest_by_limit(await self._store.points(), limits.name, model)
        wanted = missing_limits(limits.least_watts, limits.most_watts, points)
        running = self._task is not None
        return LimitState(
            gpu=limits.name,
            limit_watts=limits.now_watts,
            least_watts=limits.least_watts,
            most_watts=limits.most_watts,
            measuring=running,
            seconds_left=max(0.0, round(self._ends_s - self._clock(), 1)) if running else 0.0,
            points=points,
            best=best_point(points),
            sentence=sweep_sentence(points),
            commands=tuple(limit_command(GPU, watts) for watts in wanted),
            problem=self._problem,
        )

    async def measure(self) -> LimitState:
        """Begin to measure at the limit that is set now; one that runs goes on.

        Raises: AppError `not_supported` without a GPU that has a limit.
        """
        limits = await asyncio.to_thread(self._limits)
        if limits is None:
            raise AppError("not_supported", NO_GPU, "Use another machine.")
        if self._task is None:
            self._problem = ""
            self._ends_s = self._clock() + SETTLE_S + MEASURE_S
            self._task = asyncio.create_task(self._go(limits), name="measure limit")
        return await self.state()

    async def cancel(self) -> LimitState:
        """End a measurement without a point."""
        task = self._task
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return await self.state()

    async def forget(self) -> LimitState:
        """Remove all points."""
        await self._store.forget_points()
        return await self.state()

    def _limits(self) -> PowerLimits | None:
        return self._nvml.power_limits(GPU) if self._nvml is not None else None

    async def _go(self, limits: PowerLimits) -> None:
        try:
            point = await self._measure(limits)
            if await asyncio.to_thread(self._limits) != limits:
                raise AppError(
                    "conflict",
                    "The power limit changed while it was measured.",
                    "Set a limit, wait for the measurement, then set the next.",
                )
            await self._store.add_point(point)
        except asyncio.CancelledError:
            pass
        except AppError as error:
            self._problem = error.sentence
        except Exception:
            log.exception("a measurement at a power limit failed")
            self._problem = internal().sentence
        finally:
            self._task = None

    async def _measure(self, limits: PowerLimits) -> LimitPoint:
        reader = self._reader()
        async with self._busy() as busy:
            self._ends_s = self._clock() + SETTLE_S + MEASURE_S
            await self._sleep(SETTLE_S)
            await asyncio.to_thread(reader.read)
            began_tokens, microjoules, span_s = busy.tokens, 0, 0.0
            level: Level = "estimate"
            while span_s < MEASURE_S:
                await self._sleep(EVERY_S)
                sample = await asyncio.to_thread(reader.read)
                if sample is None or not sample.complete:
                    raise AppError(
                        "network_failed",
                        "A meter stopped answering while the limit was measured.",
                        "See that it stays in reach, and measure again.",
                        retryable=True,
                    )
                level = sample.level
                microjoules += sample.microjoules
                span_s += sample.end_s - sample.start_s
            tokens = busy.tokens - began_tokens
        if tokens <= 0:
            raise AppError(
                "conflict",
                "The model wrote nothing in a minute, so there is no energy per token.",
                "See on the Models page whether it is loaded, and measure again.",
            )
        return LimitPoint(
            at=self._wall_clock(),
            gpu=limits.name,
            limit_watts=limits.now_watts,
            model=busy.model,
            streams=busy.streams,
            tokens_per_s=round(tokens / span_s, 2),
            watts=round(microjoules / 1e6 / span_s, 2),
            joules_per_token=round(microjoules / 1e6 / tokens, 4),
            level=level,
        )
