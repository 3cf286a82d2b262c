"""How many people the loaded model serves at once, by its memory and by its measured speed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from freehold.power.history import PowerHistory
from freehold.wire import EngineState
from freehold.wire_power import Capacity, CapacityRow

CONTEXTS: Final = (4096, 8192, 16_384, 32_768, 65_536, 131_072, 262_144)
PER_PERSON: Final = 20.0
NO_MODEL: Final = "No model is loaded. Load one to see how many people it serves here."
NO_SPEED: Final = "Its speed is not known yet: it is measured while answers are written."


def peak_tokens_per_s(history: PowerHistory) -> float | None:
    """Return the highest speed that was measured for ten seconds or longer."""
    rates = [point.tokens_per_s for point in history.points("hour")]
    rates += [point.tokens_per_s for point in history.points("day")]
    highest = max(rates, default=0.0)
    return round(highest, 1) if highest > 0 else None


def capacity(states: Iterable[EngineState], tokens_per_s: float | None) -> Capacity:
    """Return the rows of the loaded model: contexts that fit, and who is served at each."""
    ready = [s for s in states if s.phase == "ready" and s.context_tokens > 0 and s.parallel > 0]
    if not ready:
        return Capacity(tokens_per_s=tokens_per_s, sentence=NO_MODEL)
    state = max(ready, key=lambda s: s.context_tokens)
    by_speed = None if tokens_per_s is None else int(tokens_per_s / PER_PERSON)
    rows = tuple(_row(state, context, by_speed) for context in _contexts(state))
    return Capacity(
        model=state.ref,
        tokens_per_s=tokens_per_s,
        tokens_per_person_s=PER_PERSON,
        rows=rows,
        sentence=NO_SPEED if by_speed is None else _sentence(rows),
    )


def _contexts(state: EngineState) -> list[int]:
    most = min(state.context_tokens, state.trained_context_tokens or state.context_tokens)
    return [context for context in CONTEXTS if context <= most] or [most]


def _row(state: EngineState, context: int, by_speed: int | None) -> CapacityRow:
    by_memory = min(state.context_tokens // context, state.parallel)
    people = by_memory if by_speed is None else min(by_memory, by_speed)
    return CapacityRow(
        context_tokens=context, by_memory=by_memory, by_speed=by_speed, people=people
    )


def _sentence(rows: Sequence[CapacityRow]) -> str:
    first = rows[0]
    if first.people == 0:
        return "It is too slow for even one person at 20 tokens a second."
    people = "person" if first.people == 1 else "people"
    return (
        f"It serves {first.people} {people} at once at {first.context_tokens // 1024}k of context."
    )
