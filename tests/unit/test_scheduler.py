"""The scheduler's promises, whatever comes and goes in whatever order."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from freehold.engine.scheduler import HEADROOM_CELLS, PATIENCE_STEPS, WORTH_SHARING, Scheduler
from freehold.engine.sequences import Phase, Sequence, common_length, make_sequence
from freehold.engine.steps import Limits, MemoryOp, Step
from freehold.errors import AppError


class Memory:
    """Stands for llama.cpp's memory: which token lies at which position of which slot."""

    def __init__(self, slots: int, cells: int, can_trim: bool) -> None:
        self.cells = cells
        self.can_trim = can_trim
        self.slots: list[list[tuple[int, int]]] = [[] for _ in range(slots)]
        self._next = 0

    def apply(self, op: MemoryOp) -> None:
        if op.kind == "trim":
            assert self.can_trim or not op.length or op.length == len(self.slots[op.slot])
            del self.slots[op.slot][op.length :]
        else:
            assert not self.slots[op.slot], "shared into a slot that holds something"
            assert len(self.slots[op.source]) >= op.length
            self.slots[op.slot] = self.slots[op.source][: op.length]

    def compute(self, step: Step) -> None:
        for op in step.memory:
            self.apply(op)
        rows = [(s, s.computed, s.computed + 1) for s in step.decode]
        for sequence, start, end in [*rows, *step.prefill]:
            held = self.slots[sequence.slot]
            assert len(held) == start, "positions must follow each other without a gap"
            # What the slot already holds must be this very sequence's beginning.
            assert [token for _, token in held] == sequence.tokens[:start]
            for token in sequence.tokens[start:end]:
                self._next += 1
                held.append((self._next, token))
        used = {cell for held in self.slots for cell, _ in held}
        assert len(used) <= self.cells, "llama.cpp would have found no place"


class Engine:
    """Runs the scheduler to the end, checking it at every step."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.scheduler = Scheduler(limits)
        self.memory = Memory(limits.slots, limits.cells, limits.can_trim)
        self.ended: dict[str, str] = {}
        self.live: dict[str, Sequence] = {}
        self.steps = 0

    def add(self, sequence: Sequence) -> None:
        self.live[sequence.id] = sequence
        self.scheduler.add(sequence)

    def cancel(self, request_id: str) -> None:
        sequence = self.live.pop(request_id)
        slot = sequence.slot
        self.scheduler.finish(sequence)
        self.ended[request_id] = "cancelled"
        assert sequence.phase is Phase.ENDED
        assert slot < 0 or all(other.slot != slot for other in self.scheduler.running)

    def step(self, prefill_tokens: int | None = None) -> Step:
        self.steps += 1
        step = self.scheduler.plan(prefill_tokens)
        assert step.token_count <= self.limits.batch_tokens
        if prefill_tokens is not None:
            assert sum(end - start for _, start, end in step.prefill) <= max(1, prefill_tokens)
        assert self.scheduler.running_count <= self.limits.parallel
        self.memory.compute(step)
        self.check_cells()
        decoding = {id(sequence) for sequence in self.scheduler.running if sequence in step.decode}
        assert len(decoding) == len(step.decode), "decode first: nobody is left out"
        for sequence in self.scheduler.complete(step):
            token = (sequence.order * 31 + len(sequence.tokens)) % 97
            if self.scheduler.append(sequence, token):
                self.scheduler.finish(sequence)
                self.ended[sequence.id] = "length"
                del self.live[sequence.id]
        return step

    def check_cells(self) -> None:
        table = self.scheduler.cells
        owners: dict[int, int] = {}
        for slot in range(self.limits.slots):
            cells = table.cells_of(slot)
            assert len(set(cells)) == len(cells)
            assert len(cells) == len(self.memory.slots[slot])
            for cell in cells:
                owners[cell] = owners.get(cell, 0) + 1
        assert all(table.owners_of(cell) == count for cell, count in owners.items())
        assert table.free == table.total - len(owners)
        slots = [s.slot for s in self.scheduler.running] + [k.slot for k in self.scheduler.kept]
        assert len(slots) == len(set(slots)), "a slot has one owner"

    def run(self, limit: int = 20_000) -> None:
        while self.scheduler.has_work:
            assert self.steps < limit, "some sequence never ends"
            self.step()


limits_strategy = st.builds(
    lambda cells, parallel, spare, batch, trim: Limits(
        cells=cells,
        slots=parallel + spare,
        parallel=parallel,
        batch_tokens=max(batch, parallel),
        can_trim=trim,
    ),
    cells=st.integers(48, 400),
    parallel=st.integers(1, 5),
    spare=st.integers(1, 4),
    batch=st.integers(1, 64),
    trim=st.booleans(),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(limits=limits_strategy, seed=st.integers(0, 2**32), count=st.integers(1, 14))
def test_every_sequence_ends_and_no_cell_is_owned_twice(
    limits: Limits, seed: int, count: int
) -> None:
    chance = random.Random(seed)
    engine = Engine(limits)
    stems = [[chance.randrange(5) for _ in range(limits.cells)] for _ in range(3)]
    for number in range(count):
        stem = chance.choice(stems)
        length = chance.randrange(1, limits.cells)
        prompt = stem[: chance.randrange(length + 1)]
        prompt += [chance.randrange(5) for _ in range(length - len(prompt))]
        engine.add(
            make_sequence(
                f"r{number}",
                prompt,
                context_tokens=limits.cells,
                max_tokens=chance.choice([None, 1, 3, 40]),
                key=chance.choice("ab"),
                priority_key=chance.choice("xyz"),
            )
        )
        for _ in range(chance.randrange(6)):
            if engine.scheduler.has_work:
                engine.step(chance.choice([None, 1, 7]))
        if engine.live and chance.random() < 0.2:
            engine.cancel(chance.choice(sorted(engine.live)))
        if engine.scheduler.running and chance.random() < 0.15:
            broken = engine.scheduler.plan()
            for op in broken.memory:
                engine.memory.apply(op)
            for sequence in broken.decode:
                engine.scheduler.rewind(sequence, sequence.computed)
            for chunk in broken.prefill:
                engine.scheduler.rewind(chunk.sequence, chunk.start)
    engine.run()
    assert set(engine.ended) == {f"r{number}" for number in range(count)}
    assert not engine.live


def _sequence(request_id: str, prompt: list[int], context: int = 1000, **more: object) -> Sequence:
    options = {"max_tokens": 4, **more}
    return make_sequence(request_id, prompt, context_tokens=context, **options)  # type: ignore[arg-type]


def _engine(**more: object) -> Engine:
    options = {"cells": 1000, "slots": 12, "parallel": 4, "batch_tokens": 64, **more}
    return Engine(Limits(**options))  # type: ignore[arg-type]


def test_decode_goes_on_while_a_long_prompt_is_read() -> None:
    engine = _engine()
    short = _sequence("short", list(range(8)), max_tokens=50)
    engine.add(short)
    engine.step()
    engine.add(_sequence("long", list(range(100, 700))))
    for _ in range(5):
        before = len(short.tokens)
        step = engine.step()
        assert step.prefill
        assert len(short.tokens) == before + 1


def test_a_long_prompt_does_not_block_a_short_one() -> None:
    engine = _engine()
    engine.add(_sequence("long", list(range(100, 900))))
    engine.step()
    short = _sequence("short", list(range(20)))
    engine.add(short)
    engine.step()
    assert short.phase is Phase.DECODE


def test_a_follow_up_turn_computes_only_what_is_new() -> None:
    engine = _engine()
    first = _sequence("first", list(range(100)), key="k")
    engine.add(first)
    engine.run()
    follow = _sequence("follow", [*first.tokens, 7, 8, 9], key="k")
    engine.add(follow)
    step = engine.step()
    assert follow.cached_tokens == 103  # all but the last sampled token, which was never computed
    assert step.token_count == 4


def test_a_regenerated_answer_shares_the_prompt_and_keeps_the_first() -> None:
    engine = _engine()
    engine.add(_sequence("first", list(range(100)), key="k", max_tokens=30))
    engine.run()
    again = _sequence("again", list(range(100)), key="k")
    engine.add(again)
    engine.step()
    assert again.cached_tokens == 99
    assert len(engine.scheduler.kept) == 1


def test_running_requests_of_one_key_share_a_prefix_even_when_sent_together() -> None:
    engine = _engine()
    sequences = [_sequence(f"n{i}", list(range(200)), key="k") for i in range(4)]
    for sequence in sequences:
        engine.add(sequence)
    engine.run()
    assert sequences[0].cached_tokens == 0
    # They wait until at most a handful of tokens is not there yet, and share the rest.
    assert all(sequence.cached_tokens > 199 - WORTH_SHARING for sequence in sequences[1:])


def test_prefixes_are_never_shared_across_keys() -> None:
    engine = _engine()
    engine.add(_sequence("mine", list(range(100)), key="a"))
    engine.run()
    other = _sequence("theirs", list(range(100)), key="b")
    engine.add(other)
    step = engine.step()
    assert other.cached_tokens == 0
    assert not any(op.kind == "share" for op in step.memory)


def test_memory_that_cannot_go_back_reuses_only_whole_prefixes() -> None:
    engine = _engine(can_trim=False)
    first = _sequence("first", list(range(100)), key="k")
    engine.add(first)
    engine.run()
    branch = _sequence("branch", [*range(100), 5], key="k")
    engine.add(branch)
    engine.run()
    assert branch.cached_tokens == 0
    follow = _sequence("follow", [*branch.tokens, 5], key="k")
    engine.add(follow)
    engine.run()
    assert follow.cached_tokens == len(branch.tokens) - 1


def test_kept_prefixes_make_room_oldest_first() -> None:
    engine = _engine(cells=300)
    for name in "ab":
        engine.add(_sequence(name, [ord(name)] * 100, context=300, key=name))
        engine.run()
    engine.add(_sequence("c", [3] * 150, context=300, key="c"))
    engine.run()
    keys = {kept.key: len(kept.tokens) for kept in engine.scheduler.kept}
    assert keys.get("a", 0) < 100
    assert keys["b"] == 103


def test_owners_take_turns_whoever_sends_more() -> None:
    engine = _engine(parallel=2, slots=6)
    for number in range(20):
        engine.add(_sequence(f"many{number}", [number + 1] * 10, priority_key="many"))
    engine.step()
    engine.add(_sequence("one", [99] * 10, priority_key="one"))
    while "one" not in engine.ended:
        engine.step()
    assert sum(name.startswith("many") for name in engine.ended) <= 4


def test_an_owner_with_nothing_running_gets_a_slot_from_one_with_several() -> None:
    engine = _engine(parallel=2, slots=6, cells=4000)
    for number in range(2):
        endless = _sequence(
            f"endless{number}", [number] * 9, 4000, max_tokens=1500, priority_key="a"
        )
        engine.add(endless)
    engine.step()
    engine.add(_sequence("late", [9] * 9, 4000, priority_key="b"))
    while "late" not in engine.ended:
        engine.step()
        assert engine.steps < 400
    engine.run()
    assert engine.ended["endless1"] == "length"


@pytest.mark.parametrize(("spare_cells", "starts"), [(0, False), (HEADROOM_CELLS, True)])
def test_a_request_is_admitted_only_with_room_left_for_those_that_run(
    spare_cells: int, starts: bool
) -> None:
    # Both will sample a token at once, and each of those needs a cell.
    engine = _engine(cells=320 + 2 + spare_cells)
    running = _sequence("running", [1] * 20, max_tokens=200)
    engine.add(running)
    engine.step()
    used = engine.scheduler.cells.total - engine.scheduler.cells.free
    late = _sequence("late", [2] * (320 - used))
    engine.add(late)
    engine.step()
    assert (late.phase is not Phase.WAITING) is starts


def test_a_large_request_is_not_passed_by_for_ever() -> None:
    engine = _engine(cells=400, parallel=4, slots=10)
    number = 0

    def keep_small_ones_coming() -> None:
        nonlocal number
        while sum(name.startswith("small") for name in engine.live) < 6:
            number += 1
            prompt = [number % 90 + 3] * 40
            engine.add(_sequence(f"small{number}", prompt, 400, max_tokens=15 + number * 7 % 20))

    keep_small_ones_coming()
    for _ in range(5):
        engine.step()
    engine.add(_sequence("large", [2] * 380, 400))
    while "large" not in engine.ended:
        keep_small_ones_coming()
        engine.step()
        assert engine.steps < 2 * PATIENCE_STEPS


def test_a_prompt_over_the_context_is_refused_with_the_numbers() -> None:
    with pytest.raises(AppError) as refused:
        make_sequence("r", [1] * 100, context_tokens=100, max_tokens=None)
    assert refused.value.code == "context_length_exceeded"
    assert refused.value.detail == {"prompt_tokens": 100, "context_tokens": 100}
    assert "100" in refused.value.message
    assert make_sequence("r", [1] * 99, context_tokens=100, max_tokens=None).length_limit == 100


@pytest.mark.parametrize(("prompt", "max_tokens"), [([], 5), ([1], 0), ([1], -3)])
def test_empty_prompts_and_limits_are_refused(prompt: list[int], max_tokens: int) -> None:
    with pytest.raises(AppError) as refused:
        make_sequence("r", prompt, context_tokens=100, max_tokens=max_tokens)
    assert refused.value.code == "invalid_request"


@given(st.lists(st.integers(0, 3), max_size=900), st.lists(st.integers(0, 3), max_size=900))
def test_common_length_agrees_with_counting(first: list[int], second: list[int]) -> None:
    expected = 0
    for a, b in zip(first, second, strict=False):
        if a != b:
            break
        expected += 1
    assert common_length(first, second) == expected
    assert common_length(first, [*first, 1]) == len(first)
