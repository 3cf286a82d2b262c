"""Every real answer corrects what is predicted of its model, placed as it is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from freehold.engine.requests import Timings, Usage
from freehold.machine.learning import LEAST_TOKENS, run_key
from freehold.machine.memory import machine_key
from freehold.machine.service import Places
from freehold.wire import ModelEntry
from freehold.wire_machine import Plan

log = logging.getLogger(__name__)

# Written at most so often: a file for every answer would be much for what it says.
MOST_WAITING: Final = 64

InForce = Callable[[str], tuple[ModelEntry, Plan] | None]


class Learner:
    """Compares what was predicted for a model that is loaded with what it does.

    in_force: the plan a model was loaded by.
    """

    def __init__(self, places: Callable[[], Awaitable[Places]], in_force: InForce) -> None:
        self._places = places
        self._in_force = in_force
        self._tasks: set[asyncio.Task[None]] = set()
        self._machine: str | None = None

    def note(self, ref: str, usage: Usage, timings: Timings) -> None:
        """Take an answer that ran alone into account; short ones say nothing."""
        found = self._in_force(ref)
        if found is None or usage.completion_tokens < LEAST_TOKENS:
            return
        entry, plan = found
        rate = timings.decode_tokens_per_s
        if plan.curve is None or rate <= 0 or len(self._tasks) >= MOST_WAITING:
            return
        context = usage.prompt_tokens + usage.completion_tokens / 2
        correction = plan.real.correction if plan.real is not None else 1.0
        predicted_s = plan.curve.decode_s(context) / correction
        if predicted_s <= 0:
            return
        task = asyncio.create_task(self._keep(entry, plan, 1 / rate / predicted_s, rate))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep(self, entry: ModelEntry, plan: Plan, ratio: float, rate: float) -> None:
        places = await self._places()
        if self._machine is None:
            self._machine = machine_key(await places.inventory())
        key = run_key(self._machine, entry.path, plan.load)
        await asyncio.to_thread(places.memory.note_run, key, ratio, rate)

    async def close(self) -> None:
        """Wait until everything is written."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
