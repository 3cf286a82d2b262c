"""What is told about the queue is what the scheduler then does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from freehold.engine.queue_order import in_turn
from freehold.engine.scheduler import Scheduler
from freehold.engine.sequences import Sequence, make_sequence
from freehold.engine.steps import Limits

LIMITS = Limits(cells=4096, slots=24, parallel=1, batch_tokens=512, can_trim=True)


def test_owners_take_turns_and_the_least_served_begins() -> None:
    order = in_turn({"a": ["a1", "a2", "a3"], "b": ["b1"], "c": ["c1"]}, {"c": 1}, {"a": 9, "b": 3})
    assert order == ["b1", "a1", "c1", "a2", "a3"]


def test_nobody_waits() -> None:
    assert in_turn({}, {"a": 2}, {"a": 5}) == []


def _sequence(name: str, owner: str) -> Sequence:
    prompt = [1 + ord(letter) for letter in name] * 3
    return make_sequence(
        name, prompt, context_tokens=512, max_tokens=4, key=name, priority_key=owner
    )


@given(st.lists(st.sampled_from("abc"), min_size=2, max_size=12))
def test_with_one_slot_the_first_told_is_the_next_to_start(owners: list[str]) -> None:
    scheduler = Scheduler(LIMITS)
    for number, owner in enumerate(owners):
        scheduler.add(_sequence(f"{owner}{number}", owner))
    while scheduler.has_work:
        if not scheduler.running_count:
            expected = scheduler.queue()[0]
            before = scheduler.waiting_count
            step = scheduler.plan()
            assert scheduler.running == [expected]
            assert scheduler.waiting_count == before - 1
        else:
            step = scheduler.plan()
        for sequence in list(scheduler.complete(step)):
            if scheduler.append(sequence, 5):
                scheduler.finish(sequence)
