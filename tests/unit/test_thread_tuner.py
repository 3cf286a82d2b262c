"""The number of threads follows what is fast, and follows again when that changes."""

from __future__ import annotations

import pytest

from freehold.engine.thread_tuner import ThreadTuner


def _run(tuner: ThreadTuner, cost_s: dict[int, float], steps: int, tokens: int = 1) -> list[int]:
    chosen = []
    for _ in range(steps):
        threads = tuner.choose(tokens)
        chosen.append(threads)
        tuner.note(tokens, cost_s[threads] * tokens)
    return chosen


@pytest.mark.parametrize("best", [1, 4, 6, 7, 8])
def test_it_finds_the_fastest_and_mostly_stays_there(best: int) -> None:
    tuner = ThreadTuner(8)
    assert tuner.candidates == (1, 4, 6, 7, 8)
    cost_s = {count: 0.001 * (1 + abs(count - best)) for count in tuner.candidates}
    _run(tuner, cost_s, 4000)
    chosen = _run(tuner, cost_s, 1000)
    assert chosen.count(best) > 850


def test_it_follows_when_another_program_takes_a_core_and_gives_it_back() -> None:
    tuner = ThreadTuner(2)
    alone, crowded = {1: 0.0010, 2: 0.0006}, {1: 0.0011, 2: 0.0100}
    assert _run(tuner, alone, 500).count(2) > 400
    _run(tuner, crowded, 300)
    assert _run(tuner, crowded, 300).count(1) > 270
    _run(tuner, alone, 600)
    assert _run(tuner, alone, 300).count(2) > 250


def test_a_bad_trial_is_cut_short() -> None:
    tuner = ThreadTuner(2)
    cost_s = {1: 1.0, 2: 0.001}
    assert _run(tuner, cost_s, 2000).count(1) <= 2000 // 150 + 2


def test_batches_of_other_sizes_are_learned_apart() -> None:
    tuner = ThreadTuner(2)
    for _ in range(1000):
        small, large = tuner.choose(1), tuner.choose(16)
        tuner.note(1, {1: 0.001, 2: 0.002}[small])
        tuner.note(16, {1: 0.002, 2: 0.001}[large])
    assert (tuner.choose(1), tuner.choose(16)) in {(1, 2)}


def test_one_core_leaves_nothing_to_choose() -> None:
    tuner = ThreadTuner(1)
    assert set(_run(tuner, {1: 0.001}, 500)) == {1}
