"""Meters read together, and a history that never grows beyond a screen."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pytest

from freehold.power.history import POINT_S, SPAN_S, PowerHistory
from freehold.power.readings import Meter, Reading
from freehold.power.sampler import MeterReader, Sample, Sampler, choose_sources, sample_level

GPU = Meter("gpu", "gpu", 0.05, 700)
CPU = Meter("cpu", "gpu+cpu", 0.05, 400)
WALL = Meter("plug", "wall", 0.02, 4000)
GUESS = Meter("estimate", "estimate", 0.5, 300)


@dataclass
class Scripted:
    """A meter that answers from a list."""

    meter: Meter
    readings: list[Reading] = field(default_factory=list)

    def read(self) -> Reading:
        return self.readings.pop(0)


@pytest.mark.parametrize(
    ("meters", "chosen", "level"),
    [
        ([GPU, CPU, WALL, GUESS], ["plug"], "wall"),
        ([GPU, CPU, GUESS], ["gpu", "cpu"], "gpu+cpu"),
        ([GPU, GUESS], ["gpu"], "gpu"),
        ([GUESS], ["estimate"], "estimate"),
        ([], [], "estimate"),
    ],
)
def test_no_joule_is_counted_twice(meters: list[Meter], chosen: list[str], level: str) -> None:
    found = choose_sources([Scripted(meter) for meter in meters])
    assert [source.meter.source for source in found] == chosen
    assert sample_level(found) == level


def test_meters_are_added_and_a_gap_makes_the_sum_incomplete() -> None:
    gpu = Scripted(GPU, [Reading(0, 0), Reading(1, 300_000_000), Reading(2, None)])
    cpu = Scripted(CPU, [Reading(0, 0), Reading(1, 50_000_000), Reading(2, 90_000_000)])
    reader = MeterReader((gpu, cpu))
    assert reader.read() is None
    first = reader.read()
    assert first is not None
    assert (first.watts, first.complete) == (350, True)
    second = reader.read()
    assert second is not None
    assert (second.watts, second.complete) == (40, False)
    assert second.components[0].watts is None
    assert second.components[0].reason == "no reading"


def test_without_meters_there_is_no_sample() -> None:
    reader = MeterReader(())
    assert reader.read() is None
    assert reader.read() is None


@pytest.mark.allow_logs("a power sample failed")
def test_the_sampler_goes_on_after_a_fault(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        meter = GPU
        calls = 0

        def read(self) -> Reading:
            self.calls += 1
            if self.calls == 2:
                raise ZeroDivisionError
            return Reading(float(self.calls), self.calls * 1_000_000)

    got: list[Sample] = []
    enough = threading.Event()

    def keep(sample: Sample) -> None:
        got.append(sample)
        if len(got) == 2:
            enough.set()

    sampler = Sampler([Broken()], keep, every_s=0.001)
    sampler.start()
    try:
        assert enough.wait(10)
    finally:
        sampler.stop()
    assert all(sample.microjoules > 0 for sample in got)
    assert "a power sample failed" in caplog.text


def test_a_year_of_seconds_stays_within_a_screen() -> None:
    history = PowerHistory()
    for second in range(0, 100_000):
        history.add(1_800_000_000 + second, (100.0 + second % 7, None), 3.0, 1.0)
    for span, step in POINT_S.items():
        points = history.points(span)
        assert len(points) <= SPAN_S[span] // step + 1
        assert [p.at for p in points] == sorted({p.at for p in points})
        assert points[-1].watts[1] is None
        assert points[-1].tokens_per_s == 3.0


def test_gaps_do_not_pull_the_mean_down() -> None:
    history = PowerHistory()
    history.add(1000, (200.0,), 0, 1)
    history.add(1001, (None,), 0, 1)
    history.add(1002, (400.0,), 0, 1)
    assert history.points("hour")[-1].watts == (300.0,)


def test_a_clock_that_goes_back_makes_no_second_past() -> None:
    history = PowerHistory()
    for at in (1000, 1001, 1002, 900, 901, 1003):
        history.add(at, (100.0,), 0, 1)
    ats = [point.at for point in history.points("minute")]
    assert ats == sorted(ats)
