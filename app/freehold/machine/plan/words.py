"""Why a plan is as it is, in words."""

from __future__ import annotations

from freehold.machine.plan.budgets import Machine
from freehold.machine.plan.placement import Assignment
from freehold.machine.plan.question import Question
from freehold.machine.plan.shape import ModelShape
from freehold.units import format_bytes


def size(count: int) -> str:
    """Return a size without needless zeros: `2 GB`."""
    number, _, unit = format_bytes(count).partition(" ")
    return f"{number.rstrip('0').rstrip('.') if '.' in number else number} {unit}"


def gpu_label(index: int) -> str:
    """Return how a GPU is called in sentences."""
    return f"GPU {index}"


def explain(
    shape: ModelShape, machine: Machine, question: Question, found: Assignment, kv_total: int
) -> tuple[str, ...]:
    """Return the reasons for a placement, the most important first."""
    reasons = [
        *_about_gpus(shape, machine, found),
        *_about_ram(shape, machine, found),
        *_about_pins(question, machine),
    ]
    kind = "" if question.kv_type == "f16" else f" as {question.kv_type}"
    reasons.append(
        f"The KV cache of {question.context_tokens:,} tokens, shared by "
        f"{_count(question.parallel, 'chat')}, takes {size(kv_total)}{kind}."
    )
    reasons += _about_beside(shape, machine)
    if question.split_mode == "row" and len(machine.gpus) > 1:
        reasons.append("Row split is planned as a layer split: the sizes per GPU may differ.")
    return tuple(reasons)


def _about_gpus(shape: ModelShape, machine: Machine, found: Assignment) -> list[str]:
    if not machine.gpus:
        return ["No GPU is used: the CPU computes everything."]
    count = len(shape.layers)
    on_gpu = sum(gpu is not None for gpu in found.layer_gpu[:-1])
    names = _names(machine, found)
    if not found.offloaded:
        return [f"No layer fits on {_all_names(machine)} beside what is kept free there."]
    if on_gpu == count and len(found.expert_gpu) == len(shape.expert_layers):
        return [f"All {count} layers and their KV cache are on {names}."]
    said = []
    if on_gpu < count:
        said.append(
            f"{count - on_gpu} of {count} layers stay in RAM because {_keeps(machine, found)}."
        )
    else:
        said.append(f"Attention and KV cache of all {count} layers are on {names}.")
    away = len(shape.expert_layers) - len(found.expert_gpu)
    if away and shape.expert_layers:
        held = len(found.expert_gpu)
        rest = f", with room for {held} of them" if held else ""
        where = "off the GPU" if found.experts_on_disk else "in RAM"
        verb = "stays" if away == 1 else "stay"
        said.append(
            f"{away} of {_count(len(shape.expert_layers), 'expert layer')} {verb} {where} because "
            f"{_keeps(machine, found)}{rest}."
        )
    return said


def _about_ram(shape: ModelShape, machine: Machine, found: Assignment) -> list[str]:
    said = []
    room = size(max(0, machine.ram.room))
    if found.experts_on_disk:
        lost = sum(shape.layers[n].expert_bytes for n in found.experts_on_disk)
        away = len(found.experts_on_disk)
        verb = "is" if away == 1 else "are"
        said.append(
            f"{away} of {_count(len(shape.expert_layers), 'expert layer')} ({size(lost)}) {verb} "
            f"read from the disk while answering, because RAM has {room} for the model."
        )
    if found.layers_on_disk:
        away = len(found.layers_on_disk)
        verb = "is" if away == 1 else "are"
        said.append(
            f"{_count(away, 'layer')} {verb} read from the disk for every token, because RAM has "
            f"{room} for the model: this is slow."
        )
    return said


def _about_pins(question: Question, machine: Machine) -> list[str]:
    pins, said = question.pins, []
    if pins.gpu_layers is not None:
        said.append(f"Pinned by hand: {_count(pins.gpu_layers, 'layer')} on the GPU.")
    if pins.cpu_expert_layers is not None:
        said.append(
            f"Pinned by hand: the experts of the first {_count(pins.cpu_expert_layers, 'layer')}"
            " in RAM."
        )
    if pins.tensor_split and len(machine.gpus) > 1:
        shares = " : ".join(f"{share:g}" for share in pins.tensor_split)
        said.append(f"Pinned by hand: layers shared {shares}.")
    return said


def _about_beside(shape: ModelShape, machine: Machine) -> list[str]:
    said = []
    places = [(gpu_label(n), gpu.beside) for n, gpu in enumerate(machine.gpus)]
    for place, beside in (*places, ("RAM", machine.ram.beside)):
        if beside.draft_bytes:
            said.append(f"The draft model takes {size(beside.draft_bytes)} of {place}.")
        if beside.projector_bytes:
            said.append(f"The vision projector takes {size(beside.projector_bytes)} of {place}.")
    if shape.mtp_layers:
        verb = "is" if shape.mtp_layers == 1 else "are"
        said.append(
            f"{_count(shape.mtp_layers, 'layer')} for guessing ahead ({size(shape.mtp_bytes)} of "
            f"the file) {verb} not loaded."
        )
    return said


def _names(machine: Machine, found: Assignment) -> str:
    used = sorted({gpu for gpu in found.layer_gpu if gpu is not None})
    if len(used) == 1:
        return f"{gpu_label(used[0])} ({machine.gpus[used[0]].name})"
    return f"{len(used)} GPUs"


def _all_names(machine: Machine) -> str:
    return gpu_label(0) if len(machine.gpus) == 1 else f"the {len(machine.gpus)} GPUs"


def _keeps(machine: Machine, found: Assignment) -> str:
    used = sorted({gpu for gpu in found.layer_gpu if gpu is not None}) or [0]
    reserves = {machine.gpus[gpu].reserve for gpu in used}
    if len(used) == 1:
        gpu = machine.gpus[used[0]]
        if not gpu.reserve:
            return f"{gpu_label(used[0])} has {size(gpu.free_bytes)}"
        return f"{gpu_label(used[0])} keeps {size(gpu.reserve)} free"
    if len(reserves) == 1:
        return f"each of the {len(used)} GPUs keeps {size(reserves.pop())} free"
    return f"the {len(used)} GPUs keep {size(sum(machine.gpus[g].reserve for g in used))} free"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number:,} {noun}s"
