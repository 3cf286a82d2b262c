"""A plan: the question and the machine in, verdict, picture, reasons and how to load it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from freehold.machine.plan.budgets import GPU_CONTEXT_BYTES, GpuBudget, Machine
from freehold.machine.plan.kv import kv_bytes, kv_type, padded_cells
from freehold.machine.plan.load import to_load_request
from freehold.machine.plan.placement import Assignment, Costs, assign, weigh
from freehold.machine.plan.question import Question
from freehold.machine.plan.shape import ModelShape
from freehold.machine.plan.words import explain, gpu_label, size
from freehold.wire_machine import DevicePlan, Parts, Plan, Verdict

RAM: Final = "RAM"
DISK: Final = "Disk"
_BYTES_PER_VALUE: Final = 4


@dataclass(frozen=True, slots=True)
class Sizes:
    """What llama.cpp said of a placement, by device: "GPU 0", "GPU 1" …, and "RAM" for the rest.

    kv_bytes, model_bytes: None where nobody said; then they are worked out from the header.
    """

    compute_bytes: Mapping[str, int]
    kv_bytes: int | None = None
    model_bytes: int | None = None
    is_exact: bool = False


def estimate_sizes(shape: ModelShape, question: Question, machine: Machine) -> Sizes:
    """Return sizes where llama.cpp could not be asked: working buffers by rule of thumb."""
    tokens = question.micro_batch_tokens
    cells = padded_cells(question.context_tokens)
    rows = tokens * max(shape.width, 1) * _BYTES_PER_VALUE
    # Activations of the widest layer, the attention mask, and a row of logits per chat.
    compute = 24 * rows + 2 * tokens * cells * _BYTES_PER_VALUE + 16 * shape.vocabulary * 4
    named = {gpu_label(n): compute + GPU_CONTEXT_BYTES for n in range(len(machine.gpus))}
    return Sizes({**named, RAM: compute})


def make_plan(
    shape: ModelShape, question: Question, machine: Machine, sizes: Sizes | None = None
) -> Plan:
    """Return the plan for a model on a machine; `sizes` as llama.cpp gave them, if it did."""
    sizes = sizes or estimate_sizes(shape, question, machine)
    sized = with_compute(machine, sizes)
    kv = _layer_caches(shape, question, sizes)
    costs = weigh(shape, kv)
    found = assign(shape, costs, sized, question.pins)
    devices = _picture(shape, costs, sized, question, found, sizes)
    verdict = _verdict(shape, sized, found)
    reasons = explain(shape, sized, question, found, sum(kv))
    if verdict == "no":
        reasons = (_what_lacks(shape, sized, devices), *reasons)
    return Plan(
        verdict=verdict,
        devices=devices,
        reasons=reasons,
        decode_tokens_per_s=None,
        prefill_tokens_per_s=None,
        basis="estimated",
        context_tokens=question.context_tokens,
        parallel=question.parallel,
        kv_type=question.kv_type,
        needed_bytes=sum(device.used_bytes - device.parts.reserve for device in devices),
        load=to_load_request(shape, sized, question, found),
        exact=sizes.is_exact,
    )


def with_compute(machine: Machine, sizes: Sizes) -> Machine:
    """Return the machine with what working buffers take on each device."""
    return replace(
        machine,
        gpus=tuple(
            replace(gpu, compute_bytes=sizes.compute_bytes.get(gpu_label(n), 0))
            for n, gpu in enumerate(machine.gpus)
        ),
        ram=replace(machine.ram, compute_bytes=sizes.compute_bytes.get(RAM, 0)),
    )


def _layer_caches(shape: ModelShape, question: Question, sizes: Sizes) -> list[int]:
    """Return each layer's cache; what llama.cpp said in all is shared out in proportion."""
    kind = kv_type(question.kv_type)
    cells = padded_cells(question.context_tokens)
    own = []
    for layer in shape.layers:
        try:
            own.append(kv_bytes(layer.kv, cells, kind, kind))
        except ValueError:  # llama.cpp takes f16 where a row is not a whole number of blocks
            fallback = kv_type("f16")
            own.append(kv_bytes(layer.kv, cells, fallback, fallback))
    said, total = sizes.kv_bytes, sum(own)
    if said is None or said == total or not own:
        return own
    if not total:
        return [said // len(own)] * (len(own) - 1) + [said - said // len(own) * (len(own) - 1)]
    shared = [value * said // total for value in own]
    shared[-1] += said - sum(shared)
    return shared


def _verdict(shape: ModelShape, machine: Machine, found: Assignment) -> Verdict:
    if not found.fits or _lacks_disk(shape, machine):
        return "no"
    if found.uses_disk:
        return "disk"
    everything = all(gpu is not None for gpu in found.layer_gpu)
    if everything and len(found.expert_gpu) == len(shape.expert_layers):
        return "gpu"
    return "gpu+ram"


def _lacks_disk(shape: ModelShape, machine: Machine) -> bool:
    return machine.disk.needs_room and shape.file_bytes > machine.disk.free_bytes


def _what_lacks(shape: ModelShape, machine: Machine, devices: tuple[DevicePlan, ...]) -> str:
    if _lacks_disk(shape, machine):
        return (
            f"Its files take {size(shape.file_bytes)}, and the disk has "
            f"{size(machine.disk.free_bytes)} free."
        )
    over = [d for d in devices if d.kind != "disk" and d.used_bytes > d.free_bytes]
    said = " and ".join(
        f"{d.name} would have to hold {size(d.used_bytes)} and has {size(d.free_bytes)}"
        for d in over
    )
    return f"It does not fit: {said}." if said else "It does not fit."


# --- the picture ------------------------------------------------------------------------------


def _picture(
    shape: ModelShape,
    costs: Costs,
    machine: Machine,
    question: Question,
    found: Assignment,
    sizes: Sizes,
) -> tuple[DevicePlan, ...]:
    gpus = tuple(
        _gpu(shape, costs, gpu, index, question, found) for index, gpu in enumerate(machine.gpus)
    )
    ram, disk = _ram_parts(shape, costs, machine, found), _disk_parts(shape, found)
    # Padding, and what llama.cpp keeps besides the tensors of the file.
    placed = sum(gpu.parts.weights for gpu in gpus) + ram.weights + disk.weights
    if sizes.model_bytes is not None:
        extra = sizes.model_bytes - placed
        ram = ram.plus(Parts(dense=max(extra, -ram.dense)))
    in_ram = [n for n, gpu in enumerate(found.layer_gpu[:-1]) if gpu is None]
    away = [n for n in shape.expert_layers if n not in found.expert_gpu]
    pinned = question.pins.any
    free = machine.disk.free_bytes + (0 if machine.disk.needs_room else shape.file_bytes)
    return (
        *gpus,
        DevicePlan(
            name=RAM,
            kind="ram",
            total_bytes=machine.ram.total_bytes,
            free_bytes=machine.ram.free_bytes,
            used_bytes=ram.total,
            parts=ram,
            layers=len(in_ram),
            expert_layers=len(away) - len(found.experts_on_disk),
            engine_device="CPU",
            pinned=pinned and bool(in_ram or away),
        ),
        DevicePlan(
            name=DISK,
            kind="disk",
            total_bytes=machine.disk.total_bytes,
            free_bytes=min(free, machine.disk.total_bytes) if machine.disk.total_bytes else free,
            used_bytes=disk.total,
            parts=disk,
            layers=sum(n < len(shape.layers) for n in found.layers_on_disk),
            expert_layers=len(found.experts_on_disk),
        ),
    )


def _gpu(
    shape: ModelShape,
    costs: Costs,
    gpu: GpuBudget,
    index: int,
    question: Question,
    found: Assignment,
) -> DevicePlan:
    items = [item for item, place in enumerate(found.layer_gpu) if place == index]
    held = [item for item in items if item in found.expert_gpu]
    parts = Parts()
    for item in items:
        parts = parts.plus(_item_parts(shape, costs, item))
    beside = gpu.beside
    if beside.total:
        parts = parts.plus(Parts(draft=beside.draft_bytes, projector=beside.projector_bytes))
    if items:
        parts = parts.plus(
            Parts(
                experts=sum(costs.experts[item] for item in held),
                compute=gpu.compute_bytes,
                reserve=gpu.reserve,
            )
        )
    return DevicePlan(
        name=f"{gpu_label(index)} · {gpu.name}",
        kind="gpu",
        total_bytes=gpu.total_bytes,
        free_bytes=gpu.free_bytes,
        used_bytes=parts.total,
        parts=parts,
        layers=sum(item < len(shape.layers) for item in items),
        expert_layers=len(held),
        engine_device=gpu.engine_device,
        pinned=question.pins.any and bool(items),
    )


def _item_parts(shape: ModelShape, costs: Costs, item: int) -> Parts:
    """Return what a layer, or the output, takes without routed experts."""
    if item == len(shape.layers):
        return Parts(dense=shape.output_bytes)
    return shape.layers[item].base.plus(Parts(kv_cache=costs.kv[item]))


def _ram_parts(shape: ModelShape, costs: Costs, machine: Machine, found: Assignment) -> Parts:
    parts = Parts(
        dense=shape.input_bytes - found.table_bytes_on_disk,
        compute=machine.ram.compute_bytes,
        draft=machine.ram.beside.draft_bytes,
        projector=machine.ram.beside.projector_bytes,
        reserve=machine.ram.reserve,
    )
    for item, gpu in enumerate(found.layer_gpu):
        if gpu is not None:
            continue
        if item == len(shape.layers):
            if not shape.is_tied and item not in found.layers_on_disk:
                parts = parts.plus(Parts(dense=shape.output_bytes))
            continue
        if item in found.layers_on_disk:
            parts = parts.plus(Parts(kv_cache=costs.kv[item]))
        else:
            parts = parts.plus(_item_parts(shape, costs, item))
    kept = (n for n in shape.expert_layers if n not in found.expert_gpu | found.experts_on_disk)
    return parts.plus(Parts(experts=sum(costs.experts[n] for n in kept)))


def _disk_parts(shape: ModelShape, found: Assignment) -> Parts:
    parts = Parts(
        dense=found.table_bytes_on_disk,
        experts=sum(shape.layers[n].expert_bytes for n in found.experts_on_disk),
    )
    for item in found.layers_on_disk:
        if item == len(shape.layers):
            parts = parts.plus(Parts(dense=0 if shape.is_tied else shape.output_bytes))
        else:
            parts = parts.plus(shape.layers[item].base)
    return parts
