"""Whether a model fits this machine, from sizes alone, until the planner knows its layers.

The weights are what counts here; context and buffers are allowed for by a share and a constant.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from freehold.gguf.description import ModelFacts
from freehold.units import format_bytes
from freehold.wire_library import Fit

# Beside the weights: a modest context, buffers of the backend.
SHARE: Final = 0.02
CONSTANT_BYTES: Final = 2_000_000_000
# With so much of a model in memory the rest can be read while it runs.
LEAST_IN_MEMORY: Final = 0.15

FitEstimator = Callable[[int, ModelFacts | None], Fit]


@dataclass(frozen=True, slots=True)
class Room:
    """What this machine has for a model: bytes of GPU memory (all GPUs), of RAM."""

    gpu_bytes: int
    memory_bytes: int
    gpu_name: str = ""


def bytes_needed(model_bytes: int) -> int:
    """Return the memory that a model of this size takes, with a modest context."""
    allowance = min(CONSTANT_BYTES, model_bytes // 2)
    return model_bytes + int(model_bytes * SHARE) + allowance


def estimate_fit(model_bytes: int, room: Room, facts: ModelFacts | None = None) -> Fit:
    """Return whether a model of this size runs here, and why."""
    needed = bytes_needed(model_bytes)
    both = room.gpu_bytes + room.memory_bytes
    gpu, memory = format_bytes(room.gpu_bytes), format_bytes(room.memory_bytes)
    about = f"It needs about {format_bytes(needed)}"
    level: Literal["estimated", "calculated"] = "calculated" if facts is not None else "estimated"
    if room.gpu_bytes and needed <= room.gpu_bytes:
        reason = f"{about}; your GPU memory of {gpu} holds all of it."
        return Fit(verdict="gpu", label="Fits in GPU memory", reason=reason, level=level)
    if needed <= both:
        if not room.gpu_bytes:
            reason = f"{about}; {memory} of memory are available. It runs on the processor."
            return Fit(verdict="gpu+ram", label="Fits in memory", reason=reason, level=level)
        split = _split(facts, room)
        reason = f"{about}: more than your GPU memory ({gpu}), but with {memory} of memory{split}."
        return Fit(verdict="gpu+ram", label="GPU + memory", reason=reason, level=level)
    if both >= needed * LEAST_IN_MEMORY:
        reason = (
            f"{about}; only {format_bytes(both)} of memory are there. The rest is read from the"
            " disk again and again: slow, and only worth it from a fast NVMe disk."
        )
        return Fit(verdict="disk", label="Needs the disk", reason=reason, level=level)
    reason = f"{about}, {format_bytes(both)} are there: too little even to run from the disk."
    return Fit(verdict="no", label="Will not run here", reason=reason, level=level)


def _split(facts: ModelFacts | None, room: Room) -> str:
    if facts is None or not facts.experts:
        return " it fits"
    experts = facts.bytes_by_part.get("experts", 0)
    rest = facts.tensor_bytes - experts
    if rest <= room.gpu_bytes:
        return (
            f" it fits: attention and the rest ({format_bytes(rest)}) on the GPU, experts"
            f" ({format_bytes(experts)}) in memory as far as needed"
        )
    return " it fits"


def recommend(sizes: list[tuple[str, int, Fit]]) -> str:
    """Return the name of the largest variant of the best verdict that runs well, "" if none does.

    sizes: name, bytes and fit, smallest first.
    """
    for verdict in ("gpu", "gpu+ram"):
        fitting = [name for name, _, fit in sizes if fit.verdict == verdict]
        if fitting:
            return fitting[-1]
    return ""
