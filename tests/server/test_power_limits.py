"""The power-limit sweep: what a person sets is measured, named and compared; nothing is set."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doubles.meter import ScriptedMeter
from doubles.nvml import FakeGpu, FakeNvml
from doubles.waiting import until
from freehold.devices.nvml import Nvml, PowerLimits
from freehold.errors import AppError
from freehold.paths import Paths
from freehold.power.limits import best_point, missing_limits, newest_by_limit, sweep_sentence
from freehold.power.sampler import MeterReader
from freehold.power.schema import SCHEMA
from freehold.power.store import PowerStore
from freehold.server.busy_model import Busy
from freehold.server.limit_sweep import LimitSweep
from freehold.storage.connection import Database
from freehold.wire_power import LimitPoint, LimitState

# Speed and power of a GPU by its limit: the best energy per token lies in the middle.
SPEED = {350: 100.0, 295: 97.0, 250: 90.0, 200: 60.0}
WATTS = {350: 345.0, 295: 290.0, 250: 246.0, 200: 199.0}


class Bench:
    def __init__(self, store: PowerStore) -> None:
        self.now_s = 0.0
        self.gpu = FakeGpu(limit_watts=350.0)
        self.meter = ScriptedMeter(lambda _s: WATTS[self.limit], level="gpu", clock=self.clock)
        self.busy: Busy | None = None
        self.change_after_s: float | None = None
        self.speed_factor = 1.0
        self.sweep = LimitSweep(
            Nvml(FakeNvml([self.gpu])), store, lambda: MeterReader((self.meter,)), self.run,
            self.model, clock=self.clock, wall_clock=lambda: 1e9 + self.now_s, sleep=self.sleep,
        )  # fmt: skip

    @property
    def limit(self) -> int:
        return round(self.gpu.limit_watts)

    def clock(self) -> float:
        return self.now_s

    async def model(self) -> str:
        return "kimi"

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        if self.busy is not None:
            self.busy.tokens += round(SPEED[self.limit] * seconds * self.speed_factor)
        if self.change_after_s is not None and self.now_s > self.change_after_s:
            self.gpu.limit_watts = 250.0
        await asyncio.sleep(0)

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncIterator[Busy]:
        self.busy = Busy("kimi", 4)
        try:
            yield self.busy
        finally:
            self.busy = None

    async def measured(self) -> LimitState:
        await self.sweep.measure()
        await until(lambda: self.sweep._task is None, timeout_s=30)
        return await self.sweep.state()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    paths = Paths(tmp_path / "d", tmp_path / "s", tmp_path / "c", tmp_path / "f")
    paths.create()
    database = Database.open(paths, [SCHEMA])
    yield Bench(PowerStore(database))
    database.close()


async def test_each_limit_a_person_sets_becomes_a_point_and_the_best_is_named(bench: Bench) -> None:
    state = await bench.sweep.state()
    assert (state.limit_watts, state.least_watts, state.most_watts) == (350, 200, 350)
    assert state.commands[0] == "sudo nvidia-smi -i 0 -pl 350"
    for limit in SPEED:
        bench.gpu.limit_watts = float(limit)
        state = await bench.measured()
        assert state.problem == ""
    assert [p.limit_watts for p in state.points] == [200, 250, 295, 350]
    for point in state.points:
        assert point.joules_per_token == pytest.approx(
            WATTS[point.limit_watts] / SPEED[point.limit_watts], rel=0.02
        )
    assert state.best is not None
    assert state.best.limit_watts == 250
    assert (
        "Best at 250 W: 21 % less energy per token than at 350 W, with 10 % fewer" in state.sentence
    )
    assert all("-pl 250" not in command for command in state.commands)
    assert bench.gpu.limit_watts == 200.0  # as the person left it
    assert (await bench.sweep.forget()).points == ()


async def test_a_limit_that_changes_meanwhile_is_no_point(bench: Bench) -> None:
    bench.change_after_s = 30.0
    state = await bench.measured()
    assert "limit changed while it was measured" in state.problem
    assert state.points == ()


async def test_silence_is_no_point_and_a_cancel_leaves_none(bench: Bench) -> None:
    bench.speed_factor = 0.0
    assert "wrote nothing" in (await bench.measured()).problem
    state = await bench.sweep.measure()
    assert state.measuring
    assert state.seconds_left > 0
    assert (await bench.sweep.cancel()).measuring is False
    assert bench.busy is None


async def test_without_a_gpu_it_says_so(bench: Bench) -> None:
    lost = FakeNvml([FakeGpu(unsupported={"nvmlDeviceGetPowerManagementLimit"})])
    for nvml in (None, Nvml(lost), Nvml(FakeNvml([]))):
        bench.sweep._nvml = nvml
        assert "no NVIDIA GPU" in (await bench.sweep.state()).problem
        with pytest.raises(AppError, match="no NVIDIA GPU"):
            await bench.sweep.measure()


def test_bounds_that_cannot_be_are_none() -> None:
    fake = FakeNvml([FakeGpu()])
    assert Nvml(fake).power_limits(0) == PowerLimits("NVIDIA H100 PCIe", 350, 200, 350)
    for garbage in (None, [1], [350_000, 200_000], ["a", "b"], [0, 350_000]):
        fake.garbage["nvmlDeviceGetPowerManagementLimitConstraints"] = garbage
        assert Nvml(fake).power_limits(0) is None


points = st.builds(
    LimitPoint,
    at=st.floats(0, 1e9),
    gpu=st.sampled_from(["a", "b"]),
    limit_watts=st.integers(100, 700),
    model=st.sampled_from(["k", "q"]),
    streams=st.just(4),
    tokens_per_s=st.floats(0.1, 1e4),
    watts=st.floats(1, 700),
    joules_per_token=st.floats(0.001, 1e3),
    level=st.just("gpu"),
)


@given(st.lists(points, max_size=30), st.integers(50, 400), st.integers(50, 700))
def test_a_sweep_of_anything_makes_sense(drawn: list[LimitPoint], least: int, most: int) -> None:
    newest = newest_by_limit(drawn, "a", "k")
    assert len({p.limit_watts for p in newest}) == len(newest)
    best = best_point(newest)
    assert (best is None) == (not newest)
    if best is not None:
        assert best.joules_per_token == min(p.joules_per_token for p in newest)
        assert f"{best.limit_watts} W" in sweep_sentence(newest)
    wanted = missing_limits(least, most, newest)
    assert all(least <= watts <= most for watts in wanted)
    assert list(wanted) == sorted(set(wanted), reverse=True)
