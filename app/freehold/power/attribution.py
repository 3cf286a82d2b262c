"""Whose energy was it: a window's energy shared between the requests an engine worked on.

Energy above idle belongs to the requests of the steps it was used in, by work; what the machine
would have drawn anyway is its own line. Everything is whole microjoules and adds up exactly.

Weight of a request in a step: a * prefill tokens + b * decode tokens + c * context tokens read,
with a, b, c fitted from this machine's own log (`fit`). Prefix tokens taken from the cache do no
work and therefore cost nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from freehold.power.least_squares import fit_non_negative
from freehold.power.shares import share_out_units


@dataclass(frozen=True, slots=True)
class Coefficients:
    """Joules per prefilled token, per decoded token, and per context token read in a step."""

    prefill: float
    decode: float
    context: float


# Until a machine has a log of its own: reading a token costs a quarter of writing one, and a
# thousand tokens of context about as much as one decoded token (K-quant models on CPU and GPU).
STARTING_POINT = Coefficients(prefill=0.25, decode=1.0, context=0.001)


@dataclass(frozen=True, slots=True)
class Work:
    """What one request had done in one step. `context_tokens`: cells its new tokens attended to."""

    request_id: str
    prefill_tokens: int = 0
    decode_tokens: int = 0
    context_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """One call of the model over a batch."""

    start_s: float
    end_s: float
    work: tuple[Work, ...]


@dataclass(frozen=True, slots=True)
class Shares:
    """A window's energy by request, and the rest. Sums to the meter exactly."""

    by_request: dict[str, int]
    idle_microjoules: int

    @property
    def total_microjoules(self) -> int:
        return sum(self.by_request.values()) + self.idle_microjoules


def weight(work: Work, by: Coefficients) -> float:
    """Return a request's weight within its step, in the coefficients' joules."""
    return (
        by.prefill * work.prefill_tokens
        + by.decode * work.decode_tokens
        + by.context * work.context_tokens
    )


def attribute(
    microjoules: int,
    start_s: float,
    end_s: float,
    idle_watts: float,
    steps: Sequence[Step],
    by: Coefficients = STARTING_POINT,
) -> Shares:
    """Share a meter window between the requests that ran in it.

    Steps that reach over the window's edge count for the part inside. A window without work, or
    one that drew no more than idle, is idle altogether.
    """
    active = _above_idle(microjoules, end_s - start_s, idle_watts)
    inside = [
        (min(step.end_s, end_s) - max(step.start_s, start_s), step)
        for step in steps
        if step.end_s > start_s and step.start_s < end_s
    ]
    inside = [(span_s, step) for span_s, step in inside if span_s > 0 and step.work]
    if not inside or active == 0:
        return Shares({}, microjoules)
    by_request: dict[str, int] = {}
    # Nanoseconds and nanojoule weights keep the sharing in whole numbers, so that it is exact.
    spans_ns = [max(1, round(span_s * 1e9)) for span_s, _ in inside]
    for (_, step), energy in zip(inside, share_out_units(active, spans_ns), strict=True):
        weights = [max(0, round(weight(work, by) * 1e9)) for work in step.work]
        for work, part in zip(step.work, share_out_units(energy, weights), strict=True):
            by_request[work.request_id] = by_request.get(work.request_id, 0) + part
    return Shares(by_request, microjoules - active)


def _above_idle(microjoules: int, span_s: float, idle_watts: float) -> int:
    return max(0, microjoules - round(max(0.0, idle_watts) * max(0.0, span_s) * 1e6))


@dataclass(frozen=True, slots=True)
class Observation:
    """A logged window: the work done in it and the energy above idle it took."""

    prefill_tokens: int
    decode_tokens: int
    context_tokens: int
    joules: float


MIN_OBSERVATIONS = 30


def fit(observations: Sequence[Observation]) -> Coefficients | None:
    """Return the coefficients that explain a log best, none negative, or None if it is too short.

    Non-negative least squares over three unknowns (`least_squares`).
    """
    if len(observations) < MIN_OBSERVATIONS:
        return None
    found = fit_non_negative(
        [(o.prefill_tokens, o.decode_tokens, o.context_tokens) for o in observations],
        [o.joules for o in observations],
    )
    return Coefficients(*found) if found else None
