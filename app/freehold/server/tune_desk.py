"""Tunes models of the library on this machine, keeps what was best, and takes it back."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from freehold.errors import AppError
from freehold.gguf.shards import read_model
from freehold.machine.gauge import Reading
from freehold.machine.memory import machine_key
from freehold.machine.plan.shape import ModelShape, read_shape
from freehold.machine.planner import plan_model
from freehold.machine.service import Places
from freehold.machine.tune_runs import BUDGET_S, CONTEXT_TOKENS, launch, tune
from freehold.machine.tuning import (
    SETTINGS,
    Axis,
    Tuned,
    best_row,
    choose_axes,
    only_tuned,
)
from freehold.server.load_guard import planned_load, to_plan_request
from freehold.server.load_options import to_options
from freehold.server.machine_jobs import Tell
from freehold.wire import LoadRequest, ModelEntry
from freehold.wire_machine import ModelSetup, Plan, TuneResult, TuneRow

Plans = dict[tuple[int | None, str | None], Plan]


class Engines(Protocol):
    """What tuning needs of the supervisor."""

    async def unload(self, ref: str) -> None: ...

    def options(self, ref: str) -> LoadRequest: ...

    def remember(self, ref: str, request: LoadRequest) -> None: ...


class TuneDesk:
    """Measures with engines of its own, while the model itself is unloaded."""

    def __init__(
        self,
        places: Callable[[], Awaitable[Places]],
        resolve: Callable[[str], Awaitable[ModelEntry]],
        engines: Engines,
    ) -> None:
        self._places = places
        self._resolve = resolve
        self._engines = engines

    async def tune(self, ref: str, tell: Tell, budget_s: float = BUDGET_S) -> Tuned:
        """Try settings for `budget_s` seconds and keep the best.

        Raises: AppError `model_not_found`, `invalid_request` for a model that does not chat,
            `does_not_fit`, or why not even the settings before could be measured.
        """
        entry = await self._resolve(ref)
        if entry.kind != "chat":
            raise AppError(
                "invalid_request",
                f"{ref} makes no answers, so there is nothing to tune.",
                "Choose a chat model.",
            )
        places = await self._places()
        path = Path(entry.path)
        shape = read_shape(read_model(path))
        asked = self._engines.options(ref)
        await self._engines.unload(ref)
        axes = await self._axes(places, path, asked, shape)

        plans: Plans = {}

        async def measure(settings: LoadRequest) -> Reading:
            return await self._launch(places, entry, asked, settings, shape, plans)

        before = only_tuned(asked)
        rows = await tune(axes, before, measure, tell, budget_s=budget_s)
        best = best_row(rows)
        if best is None:
            raise AppError("engine_crashed", rows[0].problem, "Load it with other options first.")
        found = Tuned(ref=ref, taken_at=time.time(), rows=rows, best=best.settings, before=before)
        places.memory.keep_tuned(await self._key(places, ref), found)
        self._use(ref, found.best)
        return found

    async def _axes(
        self, places: Places, path: Path, asked: LoadRequest, shape: ModelShape
    ) -> tuple[Axis, ...]:
        inventory = await places.inventory()
        place = await places.place("", path)
        plan = await plan_model(path, to_plan_request("", asked), place)
        on_gpu = sum(device.expert_layers for device in plan.devices if device.kind == "gpu")
        return choose_axes(
            cores=inventory.cpu.cores,
            threads=inventory.cpu.threads,
            gpus=sum(device.kind == "gpu" and bool(device.layers) for device in plan.devices),
            expert_layers=len(shape.expert_layers),
            planned_expert_layers=len(shape.expert_layers) - on_gpu,
            has_kernels=places.has_kernels,
        )

    async def _launch(
        self,
        places: Places,
        entry: ModelEntry,
        asked: LoadRequest,
        settings: LoadRequest,
        shape: ModelShape,
        plans: Plans,
    ) -> Reading:
        """Measure settings in a small context, placed as the planner places them.

        plans: those made so far; only some settings move parts of the model.
        """
        given = {name: getattr(settings, name) for name in SETTINGS}
        request = msgspec.structs.replace(
            asked,
            **given,
            context_tokens=min(CONTEXT_TOKENS, shape.trained_tokens),
            parallel=1,
            force=None,
        )
        moved = (settings.cpu_expert_layers, settings.kv_type_k)
        plan = plans.get(moved)
        if plan is None:
            path = Path(entry.path)
            place = await places.place("", path)
            plan = await plan_model(path, to_plan_request(entry.ref, request), place)
            plans[moved] = plan
        if plan.verdict == "no":
            raise AppError("does_not_fit", "It does not fit so.", "")
        options = to_options(entry, planned_load(plan, request))
        return await launch(options, settings)

    # --- what was found -----------------------------------------------------------------------

    async def result(self, ref: str) -> TuneResult | None:
        """Return what tuning found for a model on this machine; None if it was not tuned."""
        places = await self._places()
        found = places.memory.tuned(await self._key(places, ref))
        if found is None:
            return None
        return TuneResult(
            ref=ref,
            taken_at=found.taken_at,
            rows=found.rows,
            best=_row_of(found.rows, found.best),
            in_use=only_tuned(self._engines.options(ref)) == found.best,
        )

    async def setup(self, ref: str) -> ModelSetup:
        """Return how a model is loaded next time, and what tuning found."""
        return ModelSetup(ref=ref, options=self._engines.options(ref), tuned=await self.result(ref))

    async def use(self, ref: str, *, as_tuned: bool) -> None:
        """Load the model as tuned, or as before that, from its next load on; the table stays.

        Raises: AppError `not_found` if it was not tuned.
        """
        places = await self._places()
        found = places.memory.tuned(await self._key(places, ref))
        if found is None:
            raise AppError("not_found", f"{ref} was not tuned on this machine.", "Tune it first.")
        self._use(ref, found.best if as_tuned else found.before)

    def _use(self, ref: str, settings: LoadRequest) -> None:
        given = {name: getattr(settings, name) for name in SETTINGS}
        self._engines.remember(ref, msgspec.structs.replace(self._engines.options(ref), **given))

    async def _key(self, places: Places, ref: str) -> str:
        return f"{machine_key(await places.inventory())}|{ref}"


def _row_of(rows: Sequence[TuneRow], settings: LoadRequest) -> int:
    return next(n for n, row in enumerate(rows) if row.settings == settings)
