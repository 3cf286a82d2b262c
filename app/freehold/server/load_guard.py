"""Looks before a load: what it takes, whether that fits, and what would help if it does not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

from freehold.errors import AppError
from freehold.machine.plan.budgets import Machine
from freehold.machine.planner import plan_model
from freehold.machine.service import Places
from freehold.units import format_bytes
from freehold.wire import LoadRequest, ModelEntry
from freehold.wire_machine import VERDICTS, Plan, PlanRequest

log = logging.getLogger(__name__)

WAYS: Final = 3
FROM_DISK: Final = (
    "Let it run from the disk, slowly (Load with options… in the window, `--memory mmap` in the"
    " terminal)."
)
SAME_SIZE: Final = 0.03  # variants of one model differ by less in their number of weights
CPU: Final = "CPU"


class Guard(Protocol):
    """What the supervisor asks before a load."""

    async def look(
        self, entry: ModelEntry, request: LoadRequest, freed: Mapping[str, int]
    ) -> Plan | None:
        """Return the plan on this machine as it is now, with `freed` bytes by device more.

        None: nothing can be said, the engine has to try.
        """
        ...

    async def refusal(self, entry: ModelEntry, plan: Plan) -> AppError:
        """Return the error that says why a plan is not loaded, and three ways out."""
        ...


class PlanGuard:
    """Asks the planner about this machine."""

    def __init__(
        self,
        places: Callable[[], Awaitable[Places]],
        entries: Callable[[], Awaitable[Sequence[ModelEntry]]],
    ) -> None:
        self._places = places
        self._entries = entries
        self._last: dict[str, tuple[ModelEntry, Plan]] = {}

    def in_force(self, ref: str) -> tuple[ModelEntry, Plan] | None:
        """Return the plan a model was loaded by last; None where there was none."""
        return self._last.get(ref)

    async def look(
        self, entry: ModelEntry, request: LoadRequest, freed: Mapping[str, int]
    ) -> Plan | None:
        """Return the plan on this machine as it is now, with `freed` bytes by device more.

        Raises: AppError `invalid_request` for options that contradict themselves.
        """
        path = Path(entry.path)
        if not freed:
            self._last.pop(entry.ref, None)
        if request.overrides or not await asyncio.to_thread(path.exists):
            return None  # a person placed tensors by hand, or the engine says what is missing
        place = await (await self._places()).place("", path)
        place = replace(place, budgets=with_freed(place.budgets, freed))
        try:
            plan = await plan_model(path, to_plan_request(entry.ref, request), place)
            if not freed:  # what is planned with other models gone is not yet what is done
                self._last[entry.ref] = entry, plan
            return plan
        except AppError as error:
            if error.code == "invalid_request":
                raise
            log.info("no plan for %s: %s", entry.ref, error.code)
            return None

    async def refusal(self, entry: ModelEntry, plan: Plan) -> AppError:
        """Return the error that says why a plan is not loaded, and three ways out."""
        ways = list(plan.ways_out)
        smaller = smaller_variant(entry, await self._entries())
        if smaller is not None:
            ways.insert(
                min(1, len(ways)),
                f"Load {smaller.ref} instead: the same model in {format_bytes(smaller.bytes)}.",
            )
        return refuse(entry, plan, ways)


def to_plan_request(ref: str, request: LoadRequest) -> PlanRequest:
    """Return the question that a load request asks of the planner."""
    return PlanRequest(
        ref=ref,
        context_tokens=request.context_tokens,
        parallel=request.parallel or 4,
        kv_type=request.kv_type_k or "f16",
        devices=request.devices,
        main_gpu=request.main_gpu or 0,
        split_mode=request.split_mode or "layer",
        tensor_split=request.tensor_split or (),
        reserve_bytes=request.reserve_bytes or (),
        cpu_expert_layers=request.cpu_expert_layers or None,
        gpu_layers=request.gpu_layers,
    )


def with_freed(machine: Machine, freed: Mapping[str, int]) -> Machine:
    """Return the machine with what unloading other models would give back."""
    gpus = tuple(
        replace(
            gpu,
            free_bytes=min(
                gpu.total_bytes, gpu.free_bytes + freed.get(gpu.engine_device or gpu.name, 0)
            ),
        )
        for gpu in machine.gpus
    )
    ram = machine.ram
    free = min(ram.total_bytes, ram.free_bytes + freed.get(CPU, 0))
    return replace(machine, gpus=gpus, ram=replace(ram, free_bytes=free))


def is_loadable(plan: Plan, request: LoadRequest) -> bool:
    """Return whether a plan is loaded without asking: mapping and forcing are a person's word."""
    if request.force:
        return True
    return plan.verdict in ("gpu", "gpu+ram") or (
        plan.verdict == "disk" and request.memory == "mmap"
    )


def is_better(plan: Plan, other: Plan) -> bool:
    """Return whether a plan is better than another by its verdict."""
    return VERDICTS.index(plan.verdict) < VERDICTS.index(other.verdict)


def planned_load(plan: Plan, request: LoadRequest) -> LoadRequest:
    """Return how to load: as planned, but for what the person asked for by name."""
    given = {
        name: value
        for name in LoadRequest.__struct_fields__
        if (value := getattr(request, name)) is not None
    }
    # The planner honours these pins in its own way of saying them.
    for pinned in ("cpu_expert_layers", "tensor_split", "gpu_layers", "devices"):
        given.pop(pinned, None)
    values = {name: getattr(plan.load, name) for name in LoadRequest.__struct_fields__}
    if request.context_tokens is None:
        values["context_tokens"] = None  # the engine may take less if it must
    return LoadRequest(**{**values, **given})


def smaller_variant(entry: ModelEntry, entries: Sequence[ModelEntry]) -> ModelEntry | None:
    """Return the largest variant of the same model in the library that is smaller."""
    same = [
        other
        for other in entries
        if other.ready
        and other.arch == entry.arch
        and other.bytes < entry.bytes
        and entry.parameters
        and abs(other.parameters - entry.parameters) <= SAME_SIZE * entry.parameters
    ]
    return max(same, key=lambda other: other.bytes, default=None)


def refuse(entry: ModelEntry, plan: Plan, ways: Sequence[str]) -> AppError:
    """Return the refusal: the sum, and three concrete ways out."""
    room = sum(d.free_bytes - d.parts.reserve for d in plan.devices if d.kind != "disk")
    needed = plan.needed_bytes
    if plan.verdict == "disk":
        ways = [*ways, FROM_DISK]
    fallbacks = (
        "Close other programs, or unload other models.",
        "Download a smaller quantisation of it.",
        "Load it all the same (Load with options… in the window, `--force` in the terminal).",
    )
    hints = [*ways, *fallbacks][:WAYS]
    return AppError(
        "does_not_fit",
        f"{entry.ref} takes {format_bytes(needed)} with {plan.context_tokens:,} tokens of context, "
        f"and {format_bytes(max(0, room))} of memory can be used.",
        " ".join(hints),
        detail={
            "needed_bytes": needed,
            "available_bytes": max(0, room),
            "verdict": plan.verdict,
            "ways_out": list(hints),
            "reasons": list(plan.reasons),
        },
    )
