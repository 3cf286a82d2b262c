"""Readings become energy without jumps; energy is shared out without a rest."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.power.attribution import (
    Coefficients,
    Observation,
    Step,
    Work,
    attribute,
    fit,
)
from freehold.power.readings import (
    Energy,
    Gap,
    Meter,
    Reading,
    energy_between,
)
from freehold.power.shares import share_out_units

GPU = Meter("NVML energy counter", "gpu", 0.05, max_watts=1000)
RAPL = Meter("RAPL", "gpu+cpu", 0.05, max_watts=500, wrap_microjoules=262_143_328_850)


def test_a_counter_gives_its_difference() -> None:
    found = energy_between(GPU, Reading(10, 5_000_000), Reading(12, 605_000_000))
    assert found == Energy(10, 12, 600_000_000)
    assert found.watts == 300


def test_a_wrap_is_not_a_jump() -> None:
    start = 262_143_328_850 - 10_000_000
    found = energy_between(RAPL, Reading(0, start), Reading(1, 20_000_000))
    assert found == Energy(0, 1, 30_000_000)


@pytest.mark.parametrize(
    ("meter", "earlier", "later", "reason"),
    [
        (GPU, Reading(0, 10**12), Reading(1, 5), "counter reset"),
        (RAPL, Reading(0, 10**11), Reading(1, 0), "counter reset"),
        (GPU, Reading(0, 0), Reading(1, 10**15), "implausible"),
        (GPU, Reading(5, 0), Reading(5, 10), "clock"),
        (GPU, Reading(5, 0), Reading(-300, 10), "clock"),
        (GPU, Reading(0, 0), Reading(1), "no reading"),
        (GPU, Reading(0, watts=300), Reading(60, watts=300), "no reading"),
        (GPU, Reading(0, watts=-5), Reading(1, watts=-5), "implausible"),
    ],
)
def test_what_cannot_be_known_is_a_gap(
    meter: Meter, earlier: Reading, later: Reading, reason: str
) -> None:
    found = energy_between(meter, earlier, later)
    assert isinstance(found, Gap)
    assert found.reason == reason
    assert found.end_s >= found.start_s


def test_power_alone_is_joined_by_a_trapezium() -> None:
    assert energy_between(GPU, Reading(0, watts=100), Reading(2, watts=300)) == Energy(
        0, 2, 400_000_000
    )


@given(st.lists(st.one_of(st.none(), st.integers(0, 2**63)), min_size=2, max_size=30))
def test_no_stream_of_counters_gives_negative_or_impossible_energy(
    counters: list[int | None],
) -> None:
    readings = [Reading(float(i), value) for i, value in enumerate(counters)]
    for earlier, later in itertools.pairwise(readings):
        found = energy_between(GPU, earlier, later)
        if isinstance(found, Energy):
            assert 0 <= found.watts <= 2 * GPU.max_watts


work = st.builds(
    Work,
    st.sampled_from("abcdefgh"),
    st.integers(0, 2048),
    st.integers(0, 1),
    st.integers(0, 131072),
)


@st.composite
def step_lists(draw: st.DrawFn) -> list[Step]:
    moment = 0.0
    steps: list[Step] = []
    for _ in range(draw(st.integers(0, 8))):
        moment += draw(st.floats(0, 0.5))
        length = draw(st.floats(0, 2))
        steps.append(Step(moment, moment + length, tuple(draw(st.lists(work, max_size=5)))))
        moment += length
    return steps


@given(
    microjoules=st.integers(0, 10**12),
    idle=st.floats(0, 500),
    steps=step_lists(),
)
def test_shares_and_idle_are_the_meter_exactly(
    microjoules: int, idle: float, steps: list[Step]
) -> None:
    shares = attribute(microjoules, 0.0, 5.0, idle, steps)
    assert shares.total_microjoules == microjoules
    assert shares.idle_microjoules >= 0
    assert all(part >= 0 for part in shares.by_request.values())


def test_energy_goes_by_work_and_cached_tokens_cost_nothing() -> None:
    by = Coefficients(prefill=1, decode=4, context=0)
    step = Step(0, 1, (Work("reader", prefill_tokens=12), Work("writer", decode_tokens=1)))
    shares = attribute(260_000_000, 0, 1, 100, [step], by)
    assert shares.by_request == {"reader": 120_000_000, "writer": 40_000_000}
    assert shares.idle_microjoules == 100_000_000
    cached = Step(0, 1, (Work("cached"), Work("writer", decode_tokens=1)))
    assert attribute(260_000_000, 0, 1, 100, [cached], by).by_request["cached"] == 0


def test_a_joiner_never_raises_the_share_of_the_others() -> None:
    by = Coefficients(1, 1, 0)
    alone = Step(0, 1, (Work("a", decode_tokens=1),))
    both = Step(0, 1, (Work("a", decode_tokens=1), Work("b", decode_tokens=1)))
    first = attribute(10**8, 0, 1, 0, [alone], by).by_request["a"]
    assert attribute(10**8, 0, 1, 0, [both], by).by_request["a"] <= first


def test_a_window_no_hotter_than_idle_is_idle() -> None:
    step = Step(0, 1, (Work("a", decode_tokens=1),))
    assert attribute(90_000_000, 0, 1, 100, [step]).by_request == {}


def test_steps_over_the_edge_count_for_the_part_inside() -> None:
    steps = [Step(-9, 1, (Work("old", decode_tokens=1),)), Step(1, 2, (Work("new", 0, 1),))]
    shares = attribute(200_000_000, 0, 2, 0, steps)
    assert shares.by_request == {"old": 100_000_000, "new": 100_000_000}


def test_fit_finds_the_coefficients_of_a_noisy_log() -> None:
    draw = random.Random(7)
    true = Coefficients(0.2, 1.5, 0.0004)
    log = []
    for _ in range(400):
        prefill, decode = draw.randrange(4000), draw.randrange(500)
        context = decode * draw.randrange(30_000)
        joules = true.prefill * prefill + true.decode * decode + true.context * context
        log.append(Observation(prefill, decode, context, joules * draw.uniform(0.97, 1.03)))
    found = fit(log)
    assert found is not None
    for name in ("prefill", "decode", "context"):
        assert getattr(found, name) == pytest.approx(getattr(true, name), rel=0.1)


def test_fit_never_goes_negative_and_needs_a_log() -> None:
    assert fit([Observation(1, 1, 1, 1.0)] * 5) is None
    log = [Observation(i, 100 - i, 0, float(100 - i)) for i in range(100)]
    found = fit(log)
    assert found is not None
    assert found.prefill >= 0
    assert found.decode == pytest.approx(1.0)


@given(
    total=st.integers(0, 10**18),
    weights=st.lists(st.integers(0, 10**6), min_size=1, max_size=12),
)
def test_whole_units_are_shared_without_rest(total: int, weights: list[int]) -> None:
    parts = share_out_units(total, weights)
    assert sum(parts) == total
    scale = sum(weights)
    if scale:
        for part, share in zip(parts, weights, strict=True):
            assert abs(part * scale - total * share) < scale
