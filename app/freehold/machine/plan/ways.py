"""What would help when a model does not fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from freehold.machine.plan.budgets import Machine
from freehold.machine.plan.planning import Sizes, make_plan
from freehold.machine.plan.question import Question
from freehold.machine.plan.shape import ModelShape

SMALLEST_CONTEXT: Final = 2048
SMALLER_KV: Final = ("q8_0", "q4_0")

SizesFor = Callable[[int], Sizes]


def between(small: Sizes, small_tokens: int, large: Sizes, large_tokens: int) -> SizesFor:
    """Return working buffers for any context from those of two: they grow with it evenly."""

    def at(tokens: int) -> Sizes:
        share = (tokens - small_tokens) / max(1, large_tokens - small_tokens)
        return Sizes(
            {
                name: round(low + share * (large.compute_bytes[name] - low))
                for name, low in small.compute_bytes.items()
            }
        )

    return at


def ways_out(
    shape: ModelShape, question: Question, machine: Machine, sizes: SizesFor | None = None
) -> tuple[str, ...]:
    """Return changes of the question that were tried and make it fit, best first.

    sizes: working buffers by context, as llama.cpp gives them; None for the planner's own.
    """

    def fits(tried: Question) -> bool:
        buffers = sizes(tried.context_tokens) if sizes else None
        return make_plan(shape, tried, machine, buffers).verdict != "no"

    found = []
    if question.pins.any:
        free = replace(question, pins=type(question.pins)())
        if fits(free):
            found.append("Take the pins back: without them it fits.")
    context = question.context_tokens // 2
    while context >= SMALLEST_CONTEXT:
        if fits(replace(question, context_tokens=context)):
            found.append(f"Choose a context of {context:,} tokens: it fits then.")
            break
        context //= 2
    if question.kv_type in ("f16", "f32", "bf16"):
        for kind in SMALLER_KV:
            if fits(replace(question, kv_type=kind)):
                found.append(f"Store the KV cache as {kind}: it fits then.")
                break
    share = question.context_tokens // question.parallel
    if question.parallel > 1 and share >= SMALLEST_CONTEXT:
        alone = replace(question, parallel=1, context_tokens=share)
        if fits(alone):
            found.append(
                f"Let one chat run at a time with {share:,} tokens, as much as each of "
                f"{question.parallel} has now: it fits then."
            )
    return tuple(found)
