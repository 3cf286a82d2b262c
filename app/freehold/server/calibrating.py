"""A calibration beside a plug as it runs: progress, time left, cancel, and the result kept."""

from __future__ import annotations

import asyncio
import datetime
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Literal

from freehold.errors import AppError, internal
from freehold.power.calibration import Calibration, Fit
from freehold.power.sampler import Sample
from freehold.wire_power import CalibrationResult, CalibrationState

log = logging.getLogger(__name__)

EVERY_S = 1.0
Pair = tuple[Sample | None, Sample | None]
Ending = Literal["none", "done", "failed", "cancelled"]


class Calibrating:
    """Runs one calibration at a time on the server's loop.

    begin: checks that one is possible and returns what reads both sides: (the machine's own
    meters, the plug); it raises AppError where there is nothing to calibrate. keep: stores a
    result. load: keeps the machine busy inside its block.
    """

    def __init__(
        self,
        begin: Callable[[], tuple[Callable[[], Pair], str, tuple[str, ...]]],
        load: Callable[[], AbstractAsyncContextManager[object]],
        keep: Callable[[CalibrationResult], Awaitable[None]],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        today: Callable[[], datetime.date] = datetime.date.today,
    ) -> None:
        self._begin, self._load, self._keep = begin, load, keep
        self._clock, self._sleep, self._today = clock, sleep, today
        self._run: Calibration | None = None
        self._task: asyncio.Task[None] | None = None
        self._ending: Ending = "none"
        self._problem = ""
        self._result: CalibrationResult | None = None

    @property
    def state(self) -> CalibrationState:
        """Return how far it is."""
        if self._task is None or self._run is None:
            return CalibrationState(
                phase=self._ending,
                share=1.0 if self._ending == "done" else 0.0,
                problem=self._problem,
                result=self._result,
            )
        now_s = self._clock()
        return CalibrationState(
            phase=self._run.phase(now_s) or "load",
            share=round(self._run.share(now_s), 4),
            seconds_left=round(self._run.left_s(now_s), 1),
        )

    def start(self) -> CalibrationState:
        """Begin; one that runs goes on.

        Raises: AppError `conflict` where there is nothing to calibrate with.
        """
        if self._task is None:
            read, plug, meters = self._begin()
            self._ending, self._problem, self._result = "none", "", None
            self._run = Calibration(self._clock())
            self._task = asyncio.create_task(self._go(read, plug, meters), name="calibrate")
        return self.state

    async def cancel(self) -> CalibrationState:
        """End it without a result; what was kept before stays."""
        task = self._task
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return self.state

    async def _go(self, read: Callable[[], Pair], plug: str, meters: tuple[str, ...]) -> None:
        run = self._run
        assert run is not None
        try:
            await asyncio.to_thread(read)  # energy is told from the second reading on
            async with AsyncExitStack() as stack:
                busy = False
                while (phase := run.phase(self._clock())) is not None:
                    if phase == "load" and not busy:
                        busy = True
                        await stack.enter_async_context(self._load())
                    await self._sleep(EVERY_S)
                    measured, wall = await asyncio.to_thread(read)
                    run.add(measured, wall, self._clock())
            result = _result(run.fit(), plug, meters, self._today())
            await self._keep(result)
            self._ending, self._result = "done", result
        except asyncio.CancelledError:
            self._ending = "cancelled"
        except AppError as error:
            self._ending, self._problem = "failed", error.sentence
        except Exception:
            log.exception("a calibration failed")
            self._ending, self._problem = "failed", internal().sentence
        finally:
            self._task = None


def _result(
    fit: Fit, plug: str, meters: tuple[str, ...], today: datetime.date
) -> CalibrationResult:
    return CalibrationResult(
        offset_watts=round(fit.offset_watts, 2),
        factor=round(fit.factor, 4),
        offset_error=round(fit.offset_error, 2),
        factor_error=round(fit.factor_error, 4),
        error_share=fit.error_share,
        pairs=fit.pairs,
        on=today.isoformat(),
        plug=plug,
        meters=meters,
    )


async def watch(
    state: Callable[[], Awaitable[CalibrationState]], every_s: float = EVERY_S
) -> AsyncIterator[CalibrationState]:
    """Yield the state until it has ended."""
    while True:
        found = await state()
        yield found
        if found.phase not in ("rest", "load"):
            return
        await asyncio.sleep(every_s)
