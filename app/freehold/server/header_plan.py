"""The planner's word on a model that is still on the hub, from its headers alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from freehold.gguf.shards import ModelFile
from freehold.library.finding import Outlook
from freehold.machine.plan.planning import make_plan
from freehold.machine.plan.question import ask
from freehold.machine.plan.shape import read_shape
from freehold.machine.plan.speed import with_speed
from freehold.machine.planner import Place
from freehold.machine.service import Places
from freehold.wire_library import Fit
from freehold.wire_machine import PlanRequest

LABELS: Final = {
    "gpu": "Fits in GPU memory",
    "gpu+ram": "GPU + memory",
    "disk": "Needs the disk",
    "no": "Will not run here",
}


class HeaderPlanner:
    """Plans for this machine as it is now."""

    def __init__(self, places: Callable[[], Awaitable[Places]], models: Path) -> None:
        self._places = places
        self._models = models

    async def __call__(self, model: ModelFile) -> Outlook:
        """Return what the planner says of a model whose headers were read.

        Raises: AppError for headers that the planner refuses.
        """
        place = await (await self._places()).place("", self._models)
        return await asyncio.to_thread(look_ahead, model, place)


def look_ahead(model: ModelFile, place: Place) -> Outlook:
    """Return fit and speed of a model on a machine; llama.cpp is not asked, it has no file yet."""
    shape = read_shape(model)
    question, machine = ask(PlanRequest(ref=""), shape, place.budgets)
    plan = with_speed(make_plan(shape, question, machine), shape, place.speed)
    label = LABELS[plan.verdict]
    if plan.verdict == "gpu+ram" and not machine.gpus:
        label = "Fits in memory"
    fit = Fit(
        verdict=plan.verdict,
        label=label,
        reason=" ".join(plan.reasons[:2]),
        level="calculated",
    )
    return Outlook(fit, plan.decode_tokens_per_s)
