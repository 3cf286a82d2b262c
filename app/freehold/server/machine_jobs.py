"""Measurements of the machine that take a while: one at a time, with progress, to be cancelled."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from freehold.errors import AppError, internal
from freehold.server.engine_slot import to_error_info
from freehold.wire_machine import MachineJob, TuneRow

log = logging.getLogger(__name__)

# Too early nobody can say how long it takes.
SAYS_FROM: Final = 0.08

Tell = Callable[[float, str, Sequence[TuneRow]], None]
Work = Callable[[Tell], Awaitable[object]]


class MachineJobs:
    """Holds the job under way, or the last one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._began = 0.0
        self.state: MachineJob | None = None

    @property
    def is_running(self) -> bool:
        return self._task is not None and not self._task.done()

    def begin(self, job: MachineJob, work: Work) -> None:
        """Begin a job.

        Raises: AppError `conflict` while another one runs.
        """
        if self.is_running:
            raise AppError(
                "conflict",
                "This machine is being measured already.",
                "Wait until that is done, or cancel it.",
                retryable=True,
            )
        self._began = self._clock()
        self.state = job
        self._task = asyncio.create_task(self._run(work), name=f"{job.kind} the machine")

    async def _run(self, work: Work) -> None:
        error: AppError | None = None
        try:
            await work(self._tell)
        except AppError as failed:
            error = failed
        except asyncio.CancelledError:
            error = AppError("cancelled", "It was cancelled.", "What was known before stays.")
            raise
        except Exception:
            log.exception("measuring the machine failed")
            error = internal()
        finally:
            self._end(error)

    def _end(self, error: AppError | None) -> None:
        assert self.state is not None
        self.state = msgspec.structs.replace(
            self.state,
            fraction=1.0 if error is None else self.state.fraction,
            words="Done" if error is None else "",
            left_s=None,
            is_over=True,
            error=None if error is None else to_error_info(error),
        )

    def _tell(self, fraction: float, words: str, rows: Sequence[TuneRow] = ()) -> None:
        assert self.state is not None
        used = self._clock() - self._began
        left_s = used * (1 - fraction) / fraction if fraction >= SAYS_FROM else None
        self.state = msgspec.structs.replace(
            self.state, fraction=fraction, words=words, left_s=left_s, rows=tuple(rows)
        )

    async def cancel(self) -> None:
        """End the job under way, if there is one, and wait until its processes are gone."""
        task = self._task
        if task is not None and not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def wait(self) -> None:
        """Wait until the job under way is over."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
