"""How many people the loaded model serves: by memory, by speed, and what is missing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.power.history import PowerHistory
from freehold.server.capacity import capacity, peak_tokens_per_s
from freehold.wire import EngineState


def engine(**changes: object) -> EngineState:
    values: dict[str, object] = {
        "ref": "kimi",
        "phase": "ready",
        "context_tokens": 65_536,
        "trained_context_tokens": 131_072,
        "parallel": 8,
    }
    return EngineState(**{**values, **changes})  # type: ignore[arg-type]


def test_memory_and_speed_both_bound_it() -> None:
    found = capacity([engine()], 90.0)
    assert [(r.context_tokens, r.by_memory, r.people) for r in found.rows] == [
        (4096, 8, 4),
        (8192, 8, 4),
        (16_384, 4, 4),
        (32_768, 2, 2),
        (65_536, 1, 1),
    ]
    assert found.sentence == "It serves 4 people at once at 4k of context."


def test_what_is_missing_is_said() -> None:
    assert "Load one" in capacity([], 90.0).sentence
    assert "Load one" in capacity([engine(phase="loading")], 90.0).sentence
    unmeasured = capacity([engine()], None)
    assert "not known yet" in unmeasured.sentence
    assert unmeasured.rows[0].by_speed is None
    assert "too slow for even one" in capacity([engine()], 12.0).sentence


def test_the_peak_is_what_lasted_ten_seconds() -> None:
    history = PowerHistory()
    assert peak_tokens_per_s(history) is None
    for second in range(20):
        history.add(1e9 + second, (100.0,), 500.0 if second == 3 else 40.0, 1.0)
    assert peak_tokens_per_s(history) == pytest.approx(86.0)


@given(
    st.integers(1, 2_000_000), st.integers(0, 2_000_000), st.integers(1, 64), st.floats(0.1, 1e5)
)
def test_more_context_never_serves_more(
    cells: int, trained: int, parallel: int, speed: float
) -> None:
    found = capacity(
        [engine(context_tokens=cells, trained_context_tokens=trained, parallel=parallel)], speed
    )
    people = [row.people for row in found.rows]
    assert people
    assert people == sorted(people, reverse=True)
    assert all(row.people * row.context_tokens <= cells for row in found.rows)
