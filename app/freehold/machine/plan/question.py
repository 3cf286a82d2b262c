"""What is asked of the planner, checked against the model and the machine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from freehold.errors import AppError
from freehold.machine.plan.budgets import GPU_RESERVE_BYTES, Machine
from freehold.machine.plan.kv import KV_TYPES
from freehold.machine.plan.placement import Pins
from freehold.machine.plan.shape import ModelShape
from freehold.wire_machine import PlanRequest

DEFAULT_CONTEXT_TOKENS: Final = 16_384
MAX_PARALLEL: Final = 240
SplitMode = Literal["none", "layer", "row"]


@dataclass(frozen=True, slots=True)
class Question:
    """A request with everything decided that a person left open, but for the placement."""

    context_tokens: int
    parallel: int
    kv_type: str
    pins: Pins
    split_mode: SplitMode = "layer"
    micro_batch_tokens: int = 512


def ask(request: PlanRequest, shape: ModelShape, machine: Machine) -> tuple[Question, Machine]:
    """Return the checked question, and the machine with only the GPUs that were chosen.

    Raises: AppError `invalid_request` for numbers out of bounds and pins that contradict each
        other, the model or the machine.
    """
    context = request.context_tokens
    if context is None:
        context = min(shape.trained_tokens, DEFAULT_CONTEXT_TOKENS)
    if not 16 <= context <= shape.trained_tokens:
        raise _refused(
            "context_tokens",
            f"A context of {context:,} tokens was asked for; this model was trained for "
            f"{shape.trained_tokens:,}.",
            f"Choose between 16 and {shape.trained_tokens:,} tokens.",
        )
    if not 1 <= request.parallel <= MAX_PARALLEL:
        raise _refused(
            "parallel",
            f"{request.parallel:,} chats at a time are not possible.",
            f"Choose between 1 and {MAX_PARALLEL}.",
        )
    if request.kv_type not in KV_TYPES:
        raise _refused(
            "kv_type",
            f"There is no KV cache type named {request.kv_type[:40]!r}.",
            f"Choose one of {', '.join(KV_TYPES)}.",
        )
    chosen = _choose_gpus(request, machine)
    pins = _check_pins(request, shape, chosen)
    question = Question(
        context_tokens=context,
        parallel=request.parallel,
        kv_type=request.kv_type,
        pins=pins,
        split_mode=request.split_mode,
    )
    return question, chosen


def _choose_gpus(request: PlanRequest, machine: Machine) -> Machine:
    """Return the machine with the GPUs that were named, in that order, and their reserves."""
    gpus = list(machine.gpus)
    if request.devices is not None:
        if len(set(request.devices)) != len(request.devices):
            raise _refused("devices", "A GPU is named twice.", "Name each GPU once.")
        found = []
        for name in request.devices:
            gpu = next(
                (
                    g
                    for number, g in enumerate(machine.gpus)
                    if name in (g.engine_device, g.name, str(number))
                ),
                None,
            )
            if gpu is None:
                names = ", ".join(g.engine_device or g.name for g in machine.gpus) or "no GPU"
                raise _refused(
                    "devices",
                    f"There is no GPU named {name[:60]!r}.",
                    f"This machine has: {names}.",
                )
            found.append(gpu)
        gpus = found
    reserves = request.reserve_bytes or (GPU_RESERVE_BYTES,)
    if any(reserve < 0 for reserve in reserves) or len(reserves) not in (1, len(gpus)):
        if request.reserve_bytes and gpus:
            raise _refused(
                "reserve_bytes",
                "What is to be kept free must be one size, or one for each GPU.",
                "Give sizes that are not negative.",
            )
        reserves = (GPU_RESERVE_BYTES,)
    if len(reserves) == 1:
        reserves = reserves * max(1, len(gpus))
    kept = [replace(gpu, reserve_bytes=size) for gpu, size in zip(gpus, reserves, strict=False)]
    if request.split_mode == "none" and kept:
        if request.main_gpu >= len(kept):
            raise _refused(
                "main_gpu",
                f"The main GPU is number {request.main_gpu}, and {len(kept)} are chosen.",
                f"Choose a number from 0 to {len(kept) - 1}.",
            )
        kept = [kept[request.main_gpu]]
    return replace(machine, gpus=tuple(kept))


def _check_pins(request: PlanRequest, shape: ModelShape, machine: Machine) -> Pins:
    layers, experts = request.gpu_layers, request.cpu_expert_layers
    if not machine.gpus and (layers or request.tensor_split):
        raise _refused(
            "gpu_layers",
            "Layers are pinned to GPUs, and there is no GPU to use.",
            "Choose a GPU, or take the pins back.",
        )
    if machine.gpus and layers == 0 and request.tensor_split:
        raise _refused(
            "tensor_split",
            "The pin on layers (gpu_layers = 0) puts none on GPUs, and the pin on shares "
            "(tensor_split) divides them over GPUs.",
            "Take one of the two pins back.",
        )
    if experts and not shape.expert_layers:
        raise _refused(
            "cpu_expert_layers",
            "Expert layers are pinned to RAM, and this model has no experts.",
            "Take that pin back.",
        )
    count = len(shape.layers)
    if any(n is not None and not 0 <= n <= count + 1 for n in (layers, experts)):
        raise _refused(
            "gpu_layers",
            f"More layers are pinned than the {count} this model has.",
            f"Choose at most {count}.",
        )
    shares = request.tensor_split
    if shares and (
        len(shares) != len(machine.gpus) or any(s < 0 for s in shares) or not any(shares)
    ):
        raise _refused(
            "tensor_split",
            f"There are {len(shares)} shares for {len(machine.gpus)} GPUs.",
            "Give one share for each GPU, none negative and not all zero.",
        )
    return Pins(layers, experts, shares)


def _refused(name: str, message: str, hint: str) -> AppError:
    return AppError("invalid_request", message, hint, detail={"param": name})
