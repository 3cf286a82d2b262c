"""Ten minutes beside a plug, on a clock of the test's own: the fit, its failures, its use."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import random
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from pathlib import Path

import httpx
import msgspec
import pytest

from doubles.engine import FakeEngine, Pause, say
from doubles.meter import ScriptedMeter
from doubles.plug import PlugServer
from doubles.server import FakeModels, fake_house, fake_paths
from doubles.waiting import until
from freehold.errors import AppError
from freehold.power.plugs import PlugSource
from freehold.power.sampler import MeterReader
from freehold.power.whole import WholeMachine, supply_only
from freehold.server.busy_model import BusyModel
from freehold.server.calibrating import Calibrating, Pair
from freehold.server.costs_file import CostsFile
from freehold.server.wiring import build_house, open_costs
from freehold.wire_costs import CostsSettings
from freehold.wire_power import CalibrationResult, CalibrationState, Plug

OFFSET, FACTOR = 62.0, 1.13


class Bench:
    """A machine on a plug: a scripted GPU meter, the plug double, and a clock that obeys."""

    def __init__(self, plug: PlugServer, http: httpx.Client) -> None:
        self.now_s = 0.0
        self.busy = False
        self.busy_times: list[float] = []
        self.busy_watts = 410.0
        self.draw = random.Random(3)
        self.plug = plug
        self.meter = ScriptedMeter(self.gpu_watts, level="gpu", clock=self.clock)
        self.results: list[CalibrationResult] = []
        plug.watts = lambda: OFFSET + FACTOR * self.gpu_watts(0) + self.draw.gauss(0, 1.5)
        self.http = http
        self.on_second: Callable[[float], None] = lambda _now_s: None

    def clock(self) -> float:
        return self.now_s

    def gpu_watts(self, _elapsed_s: float) -> float:
        return self.busy_watts if self.busy else 74.0

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        self.on_second(self.now_s)
        await asyncio.sleep(0)

    @contextlib.asynccontextmanager
    async def load(self) -> AsyncIterator[None]:
        self.busy = True
        self.busy_times.append(self.now_s)
        try:
            yield
        finally:
            self.busy = False
            self.busy_times.append(self.now_s)

    def begin(self) -> tuple[Callable[[], Pair], str, tuple[str, ...]]:
        source = PlugSource(self.plug.kind, self.plug.host, self.http, self.clock)
        own, wall = MeterReader((self.meter,)), MeterReader((source,))
        return lambda: (own.read(), wall.read()), source.meter.source, ("scripted meter",)

    async def keep(self, result: CalibrationResult) -> None:
        self.results.append(result)

    def calibrating(self) -> Calibrating:
        return Calibrating(
            self.begin, self.load, self.keep, clock=self.clock, sleep=self.sleep,
            today=lambda: datetime.date(2026, 11, 24),
        )  # fmt: skip


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Yield a bench whose plug answers without a network between, which is ten times as fast."""
    plug = PlugServer("tasmota")

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=plug.answer(request.url.raw_path.decode()))

    with httpx.Client(transport=httpx.MockTransport(answer)) as http:
        yield Bench(plug, http)
    plug.close()


@pytest.fixture
def bench_on_a_network() -> Iterator[Bench]:
    with PlugServer("tasmota") as plug, httpx.Client() as http:
        yield Bench(plug, http)


async def ended(calibrating: Calibrating) -> CalibrationState:
    await until(lambda: calibrating.state.phase not in ("rest", "load"), timeout_s=60)
    return calibrating.state


async def test_ten_minutes_find_offset_and_factor_with_their_errors(
    bench_on_a_network: Bench,
) -> None:
    bench = bench_on_a_network
    seen: list[tuple[str, float, float]] = []

    def look(now_s: float) -> None:
        state = calibrating.state
        if now_s in (100.0, 450.0):
            seen.append((state.phase, state.share, state.seconds_left))

    bench.on_second = look
    calibrating = bench.calibrating()
    assert calibrating.state == CalibrationState()
    assert calibrating.start().phase == "rest"
    assert calibrating.start().seconds_left <= 600  # a second start goes on with the first
    state = await ended(calibrating)
    assert seen == [("rest", 0.1667, 500.0), ("load", 0.75, 150.0)]
    assert (state.phase, state.share) == ("done", 1.0)
    found = state.result
    assert found is not None
    assert bench.results == [found]
    assert abs(found.offset_watts - OFFSET) < 5 * found.offset_error
    assert abs(found.factor - FACTOR) < 5 * found.factor_error
    assert 0 < found.offset_error < 2
    assert 0.02 <= found.error_share < 0.03
    assert (found.on, found.pairs) == ("2026-11-24", 54)
    assert found.plug.startswith("tasmota at 127.0.0.1:")
    assert bench.busy_times == [300.0, 600.0]


async def test_it_is_cancelled_and_leaves_the_machine_in_peace(bench: Bench) -> None:
    calibrating = bench.calibrating()
    calibrating.start()
    await until(lambda: bench.busy, timeout_s=60)
    assert (await calibrating.cancel()).phase == "cancelled"
    assert not bench.busy
    assert bench.results == []
    assert (await calibrating.cancel()).phase == "cancelled"


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        ("garbage", "did not answer long enough"),
        ("same", "too little difference"),
        ("other machine", "do not fit together"),
    ],
)
async def test_what_cannot_be_fitted_is_said(bench: Bench, spoil: str, named: str) -> None:
    if spoil == "garbage":

        def lose(now_s: float) -> None:
            bench.plug.garbage = b"<html>" if now_s > 150 else None

        bench.on_second = lose
    elif spoil == "same":
        bench.busy_watts = 75.0
    else:
        bench.plug.watts = lambda: 3000 - 5 * bench.gpu_watts(0)
    calibrating = bench.calibrating()
    calibrating.start()
    state = await ended(calibrating)
    assert state.phase == "failed"
    assert named in state.problem
    assert bench.results == []


async def test_a_short_gap_of_the_plug_is_left_out(bench: Bench) -> None:
    def lose(now_s: float) -> None:
        bench.plug.garbage = b"{}" if 100 < now_s < 130 or 400 < now_s < 410 else None

    bench.on_second = lose
    calibrating = bench.calibrating()
    calibrating.start()
    found = (await ended(calibrating)).result
    assert found is not None
    assert 40 <= found.pairs < 54
    assert abs(found.factor - FACTOR) < 5 * found.factor_error


# --- what it is used for ---------------------------------------------------------------------


def result(meters: tuple[str, ...] = ("scripted meter",)) -> CalibrationResult:
    return CalibrationResult(
        offset_watts=OFFSET, factor=FACTOR, offset_error=0.5, factor_error=0.01, error_share=0.031,
        pairs=56, on="2026-11-24", plug="tasmota at 192.0.2.7", meters=meters,
    )  # fmt: skip


def test_the_rest_of_the_machine_is_a_part_of_its_own() -> None:
    now = [0.0]
    meter = ScriptedMeter(lambda _s: 100.0, level="gpu", clock=lambda: now[0])
    whole = WholeMachine(OFFSET, FACTOR, 0.03, "rest of the machine")
    reader = MeterReader((meter,), whole)
    reader.read()
    now[0] = 10.0
    sample = reader.read()
    assert sample is not None
    assert sample.level == "calculated"
    assert sample.watts == pytest.approx(OFFSET + FACTOR * 100)
    assert [c.watts for c in sample.components] == [100.0, pytest.approx(OFFSET + 13)]
    assert sample.microjoules == sum(c.microjoules for c in sample.components)
    plug = ScriptedMeter(lambda _s: 300.0, level="wall", clock=lambda: now[0])
    at_wall = MeterReader((plug,), whole)
    at_wall.read()
    now[0] = 20.0
    measured = at_wall.read()
    assert measured is not None
    assert (measured.level, measured.watts) == ("wall", 300.0)


def test_a_power_supply_alone_is_a_rough_figure() -> None:
    whole = supply_only(0.92)
    assert whole.rest_microjoules(920_000_000, 1.0) == 80_000_000
    assert whole.error_share == 0.15
    for efficiency in (0.3, 1.2):
        with pytest.raises(ValueError, match="efficient"):
            supply_only(efficiency)


@pytest.mark.parametrize(
    ("own", "level", "rest"),
    [
        (CostsSettings(), "gpu", ""),
        (CostsSettings(calibration=result()), "calculated", "calibrated 2026-11-24"),
        (CostsSettings(calibration=result(("another meter",))), "gpu", ""),
        (CostsSettings(supply_efficiency=Decimal("0.92")), "calculated", "92 % efficient"),
        (
            CostsSettings(supply_efficiency=Decimal("0.92"), calibration=result()),
            "calculated",
            "calibrated 2026-11-24",
        ),
        (
            CostsSettings(calibration=result(), plug=Plug(kind="tasmota", host="192.0.2.7")),
            "wall",
            "",
        ),
    ],
)
def test_a_server_counts_the_rest_as_its_settings_say(
    tmp_path: Path, own: CostsSettings, level: str, rest: str
) -> None:
    paths = fake_paths(tmp_path)
    CostsFile(paths.config / "costs.toml").save(own)
    house = build_house(
        paths, make_engine=FakeModels(), sources=(ScriptedMeter(lambda _s: 90.0, level="gpu"),)
    )
    try:
        assert house.metering.level == level
        meters = house.power.meters()
        assert rest in meters.rest
        assert bool(meters.rest) == bool(rest)
        assert (meters.cannot_calibrate == "") == (own.plug is not None)
        assert len(meters.counted) == (2 if rest else 1)
    finally:
        house.power.close()
        house.database.close()


def test_a_damaged_calibration_in_the_settings_is_never_used(tmp_path: Path) -> None:
    file = tmp_path / "costs.toml"
    with pytest.raises(AppError, match="efficient cannot be"):
        CostsFile(file).save(CostsSettings(supply_efficiency=Decimal("0.2")))
    broken = msgspec.structs.replace(result(), factor=float("nan"))
    with pytest.raises(AppError, match="calibration"):
        CostsFile(file).save(CostsSettings(calibration=broken))


# --- load ------------------------------------------------------------------------------------


async def test_a_busy_model_answers_until_it_is_let_go(tmp_path: Path) -> None:
    gate = asyncio.Event()
    models = FakeModels()
    models.make = lambda: FakeEngine(say("one ", "two ", Pause(gate)))
    house = fake_house(tmp_path, models)
    await house.start()
    try:
        busy_model = BusyModel(house.engines, house.engines.states, house.models.default)
        async with busy_model.running() as busy:
            await until(lambda: busy.tokens >= 2 * busy.streams)
            assert (busy.model, busy.streams) == ("tiny", 4)
            assert len(models.last.running) == 4
        assert not models.last.running
    finally:
        gate.set()
        await house.close()
    # Its answers are in the ledger as what they are.
    with open_costs(fake_paths(tmp_path)) as desk:
        lines = await desk.ledger.requests(0, 1e12)
    assert {line.person for line in lines} == {"trial"}
    assert len(lines) == 4
