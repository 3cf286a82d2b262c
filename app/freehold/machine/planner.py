"""The planner: a model's header and a machine in, a plan with llama.cpp's own sizes out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from freehold.gguf.shards import read_model
from freehold.machine.beside import weigh_beside
from freehold.machine.measuring import Breakdown, Measured, MeasureProcess, to_options
from freehold.machine.plan.budgets import GPU_CONTEXT_BYTES, Machine
from freehold.machine.plan.planning import RAM, Sizes, make_plan
from freehold.machine.plan.question import Question, ask
from freehold.machine.plan.shape import ModelShape, read_shape
from freehold.machine.plan.speed import MachineSpeed, corrected, with_speed
from freehold.machine.plan.ways import SMALLEST_CONTEXT, SizesFor, between, ways_out
from freehold.machine.plan.words import gpu_label
from freehold.wire import LoadRequest
from freehold.wire_machine import Plan, PlanRequest, RealRuns

ROUNDS: Final = 4
CPU: Final = "CPU"


@dataclass(frozen=True, slots=True)
class Place:
    """A machine to plan for. is_here: llama.cpp can be asked about its GPUs.

    runs: what a model placed so really ran at here.
    """

    budgets: Machine
    speed: MachineSpeed | None = None
    is_here: bool = True
    runs: Callable[[Path, LoadRequest], RealRuns | None] | None = None


async def plan_model(
    path: Path, request: PlanRequest, place: Place, process: MeasureProcess | None = None
) -> Plan:
    """Return what fits, where, why and how fast.

    process: a child to ask; None starts one for this plan.
    Raises: AppError `invalid_model`, `not_found` and the like for the file; `invalid_request`
        for a question that contradicts itself or the machine.
    """
    shape = await asyncio.to_thread(lambda: read_shape(read_model(path)))
    question, machine = ask(request, shape, place.budgets)
    own = process is None
    child = process or await MeasureProcess.start()
    try:
        if request.draft or request.projector:
            machine = machine.with_beside(await weigh_beside(request, question, child))
        plan, nodes = await _settle(path, shape, question, machine, place, child)
    finally:
        if own:
            await child.close()
    plan = with_speed(plan, shape, _speed_of(machine, place), nodes)
    real = place.runs(path, plan.load) if place.runs is not None else None
    return corrected(plan, real)


def _speed_of(machine: Machine, place: Place) -> MachineSpeed | None:
    """Return the speeds of the GPUs that were chosen, in their order; cards of a name are alike."""
    if place.speed is None:
        return None
    known = {
        gpu.uuid or gpu.name: speed
        for gpu, speed in zip(place.budgets.gpus, place.speed.gpus, strict=False)
    }
    named = [gpu.uuid or gpu.name for gpu in machine.gpus]
    gpus = tuple(known[name] for name in named if name in known)
    return replace(place.speed, gpus=gpus)


async def _settle(
    path: Path,
    shape: ModelShape,
    question: Question,
    machine: Machine,
    place: Place,
    child: MeasureProcess,
) -> tuple[Plan, int | None]:
    """Plan, ask llama.cpp what that takes, and plan again until both agree.

    Returns the plan, and how many nodes the graph of a step has.
    """
    plan = make_plan(shape, question, machine)
    sizes: Sizes | None = None
    said: Measured | None = None
    for _ in range(ROUNDS):
        load = plan.load if place.is_here else _on_cpu(plan.load)
        said = await child.ask(to_options(path, load, embeddings=shape.is_embedder))
        if said is None:
            plan = msgspec.structs.replace(
                plan,
                reasons=(*plan.reasons, "llama.cpp could not be asked: sizes are estimated."),
            )
            break
        sizes = _to_sizes(said.devices, machine, place)
        settled = make_plan(shape, question, machine, sizes)
        if settled.load == plan.load:
            plan = settled
            break
        plan = settled
    if plan.verdict == "no":
        by_context = await _sizes_by_context(path, shape, question, machine, place, child, sizes)
        ways = ways_out(shape, question, machine, by_context)
        plan = msgspec.structs.replace(plan, ways_out=ways)
    return plan, said.nodes if said is not None else None


async def _sizes_by_context(
    path: Path,
    shape: ModelShape,
    question: Question,
    machine: Machine,
    place: Place,
    child: MeasureProcess,
    sizes: Sizes | None,
) -> SizesFor | None:
    """Ask once more, for a small context: buffers for those between follow."""
    if sizes is None:
        return None
    small = replace(question, context_tokens=min(SMALLEST_CONTEXT, question.context_tokens))
    load = make_plan(shape, small, machine, sizes).load
    load = load if place.is_here else _on_cpu(load)
    said = await child.ask(to_options(path, load, embeddings=shape.is_embedder))
    if said is None:
        return None
    found = _to_sizes(said.devices, machine, place)
    return between(found, small.context_tokens, sizes, question.context_tokens)


def _on_cpu(load: LoadRequest) -> LoadRequest:
    """Return the load with everything on the CPU, for GPUs that are not here."""
    return msgspec.structs.replace(load, devices=(), gpu_layers=0, tensor_split=(), overrides=())


def _to_sizes(said: Breakdown, machine: Machine, place: Place) -> Sizes:
    """Return llama.cpp's figures as the planner takes them.

    For GPUs that are not here each is given the working buffers that the CPU would have.
    """
    in_ram = sum(kinds["compute"] for name, kinds in said.items() if name == CPU)
    compute = {RAM: in_ram}
    for number, gpu in enumerate(machine.gpus):
        found = said.get(gpu.engine_device or "") if place.is_here else None
        own = found["compute"] if found is not None else in_ram
        compute[gpu_label(number)] = own + GPU_CONTEXT_BYTES
    return Sizes(
        compute_bytes=compute,
        kv_bytes=sum(kinds["context"] for kinds in said.values()),
        model_bytes=sum(kinds["model"] for kinds in said.values()) if place.is_here else None,
        is_exact=place.is_here or not machine.gpus,
    )
