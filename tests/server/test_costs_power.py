"""Meters, plugs and prices of a running server, and what it says when they are wrong."""

from __future__ import annotations

import asyncio
import datetime
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from doubles.ledger_month import month_of_lines, write_lines
from doubles.plug import PlugServer
from doubles.server import FakeModels, LiveServer, fake_house, fake_paths
from freehold.client.costs import CostsClient
from freehold.client.http import HttpClient
from freehold.errors import AppError
from freehold.ledger.tariffs import Period, Series, Tariff
from freehold.power.readings import Meter
from freehold.power.rest import RestPower
from freehold.power.sampler import ComponentPower, Sample
from freehold.power.sources import RaplAccess
from freehold.server.costs_file import CostsFile
from freehold.server.power_advice import give_advice, priced_hours
from freehold.server.wiring import open_costs
from freehold.wire import Settings
from freehold.wire_costs import CostsSettings, SeriesImport, TariffPeriod, TariffPlan
from freehold.wire_power import (
    LivePower,
    Plug,
)

NOW = datetime.datetime(2026, 11, 24, 9, tzinfo=datetime.UTC).timestamp()
TEN_YEARS_S = 10 * 365.25 * 86_400


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[LiveServer]:
    server = LiveServer(lambda: fake_house(tmp_path, FakeModels()))
    await asyncio.to_thread(server.start)
    yield server
    await asyncio.to_thread(server.stop)


@pytest.fixture
async def client(server: LiveServer) -> AsyncIterator[HttpClient]:
    client = HttpClient(server.url, server.key)
    yield client
    await client.close()


async def live_until(costs: CostsClient, wanted: Callable[[LivePower], bool]) -> LivePower:
    """Return the first reading that is as wanted."""
    async with asyncio.timeout(20):
        while not wanted(found := await costs.power()):  # noqa: ASYNC110 - a server, no event
            await asyncio.sleep(0.05)
    return found


async def test_a_plug_measures_at_the_wall_and_its_garbage_is_a_gap(client: HttpClient) -> None:
    costs = client.costs
    settings = msgspec.structs.replace(await client.settings(), price_per_kwh="0.50")
    await client.save_settings(settings)
    with PlugServer("tasmota", watts=lambda: 431.0) as plug:
        meters = await costs.set_plug(Plug(kind="tasmota", host=plug.host))
        assert meters.level == "wall"
        assert [m.error_share for m in meters.counted] == [0.02]
        live = await live_until(costs, lambda p: p.watts is not None)
        assert live.watts == pytest.approx(431.0, abs=0.5)
        assert (live.level, live.error_share) == ("wall", 0.02)
        assert live.money_per_hour == Decimal("0.2155")
        curve = await costs.history("minute")
        assert curve.parts == (f"tasmota at {plug.host}",)
        assert curve.points
        plug.garbage = b"<html>please log in</html>"
        lost = await live_until(costs, lambda p: bool(p.parts) and p.watts is None)
        assert lost.parts[0].reason == "no reading"
        assert lost.money_per_hour is None
        plug.garbage = None
        await live_until(costs, lambda p: p.watts is not None)
    # The plug is pulled out: still a gap, never zero and never an error.
    gone = await live_until(costs, lambda p: p.watts is None)
    assert gone.parts[0].watts is None
    assert (await costs.set_plug(None)).counted == ()


async def test_a_plug_is_found_again_by_the_next_server(tmp_path: Path) -> None:
    paths = fake_paths(tmp_path)
    CostsFile(paths.config / "costs.toml").save(
        CostsSettings(plug=Plug(kind="shelly-2", host="192.0.2.7"))
    )
    house = fake_house(tmp_path, FakeModels())
    try:
        assert house.metering.level == "wall"
        assert house.metering.sources[0].meter.source == "shelly-2 at 192.0.2.7"
    finally:
        house.power.close()
        house.database.close()


async def test_only_this_machine_may_change_plugs_and_tariffs(server: LiveServer) -> None:
    def put(path: str, body: dict[str, object]) -> int:
        request = urllib.request.Request(  # noqa: S310 - 127.0.0.1
            f"{server.url}/freehold/v1/costs{path}",
            data=json.dumps(body).encode(),
            method="PUT",
            headers={"content-type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    plug: dict[str, object] = {"kind": "shelly-2", "host": "192.0.2.7"}
    assert await asyncio.to_thread(put, "/plug", plug) == 401


@pytest.mark.allow_logs("not used", "costs.toml could not be read")
async def test_damaged_files_are_said_and_never_used(
    server: LiveServer, client: HttpClient, tmp_path: Path
) -> None:
    (tmp_path / "config" / "prices.toml").write_text('schema = 1\n[[api]]\nmodel = "x"\n')
    prices = await client.costs.prices()
    assert prices.scenarios
    assert "prices.toml was not used" in prices.problem
    (tmp_path / "config" / "tariff.toml").write_text("name = [")
    state = await client.costs.tariff()
    assert (state.source, state.price_now) == ("none", None)
    assert "tariff.toml cannot be read" in state.problem
    broken = tmp_path / "config" / "costs.toml"
    broken.write_text("seats = -4\n")
    kept = CostsFile(broken)
    assert kept.current == CostsSettings()
    assert kept.problem is not None
    assert not broken.exists()


async def test_an_own_price_list_begins_as_a_copy_and_counts(
    client: HttpClient, tmp_path: Path
) -> None:
    path = Path(await client.costs.copy_prices())
    assert path.parent == tmp_path / "config"
    path.write_text(path.read_text().replace('hardware = "25000"', 'hardware = "24000"', 1))
    assert Path(await client.costs.copy_prices()) == path
    assert (await client.costs.prices()).scenarios[0].figures["hardware"] == 24000


@pytest.mark.parametrize("shift_s", [-TEN_YEARS_S, TEN_YEARS_S])
async def test_a_clock_ten_years_off_breaks_nothing(
    server: LiveServer, client: HttpClient, shift_s: float
) -> None:
    house = server.house
    house.costs.now = lambda: NOW + shift_s

    async def seed() -> None:
        await write_lines(house.database, *month_of_lines())

    await asyncio.to_thread(server.call, seed)
    await client.costs.save_settings(CostsSettings(capital=Decimal(12000)))
    payback = await client.costs.payback()
    assert payback.tokens > 0
    assert payback.sentence
    assert (await client.costs.summary("")).rows == ()
    assert (await client.costs.summary("2026-11")).total.requests == len(month_of_lines()[0])
    prices = await client.costs.prices()
    assert all(p.stale == (shift_s > 0) for p in prices.apis)
    plan = TariffPlan(
        name="t",
        currency="EUR",
        zone="Europe/Berlin",
        periods=(TariffPeriod(name="all", price="0.3"),),
    )
    assert (await client.costs.save_tariff(plan)).price_now == Decimal("0.3")


async def test_advice_compares_rest_with_and_without_a_model(
    server: LiveServer, client: HttpClient
) -> None:
    settings = Settings(price_per_kwh="0.40", currency="EUR")
    await client.save_settings(settings)
    rest = RestPower()
    rest.add(119.0, 60.0, loaded=True)
    rest.add(71.0, 60.0, loaded=False)
    server.house.metering.rest = rest
    server.house.metering.level = "wall"
    advice = await client.costs.advice()
    assert (advice.idle_loaded_watts, advice.idle_empty_watts) == (119.0, 71.0)
    assert advice.idle_per_month == Decimal("34.75")  # 0.119 kW x 730 h x 0.40
    assert advice.unloading_saves_per_month == Decimal("14.02")
    assert any("Unloading the model saves 48 W, 14.02 EUR a month" in s for s in advice.sentences)
    server.house.metering.level = "estimate"
    blind = await client.costs.advice()
    assert any("an estimate cannot tell" in sentence for sentence in blind.sentences)


def test_rest_is_told_only_after_a_while_and_follows() -> None:
    rest = RestPower()
    rest.add(100.0, 5.0, loaded=True)
    assert rest.loaded_watts is None
    rest.add(50.0, 5.0, loaded=True)
    assert rest.loaded_watts == 75.0
    for _ in range(5000):
        rest.add(40.0, 1.0, loaded=True)
    assert rest.loaded_watts == pytest.approx(40.0, abs=0.1)
    assert rest.empty_watts is None


def test_best_hours_are_those_of_the_month() -> None:
    night = datetime.time(22), datetime.time(6)
    tariff = Tariff(
        "t",
        "EUR",
        "UTC",
        periods=(
            Period("night", Decimal("0.2"), *night),
            Period("summer", Decimal("0.1"), night[1], night[0], months=tuple(range(4, 10))),
            Period("winter", Decimal("0.5"), night[1], night[0], months=(1, 2, 3, 10, 11, 12)),
        ),
    )
    hours = priced_hours(tariff, NOW)
    assert [(h.start, h.end, h.price) for h in hours] == [
        ("22:00", "06:00", Decimal("0.2")),
        ("06:00", "22:00", Decimal("0.5")),
    ]
    flat = Tariff("f", "EUR", "UTC", periods=(Period("all", Decimal("0.3")),))
    assert priced_hours(flat, NOW) == ()


async def test_several_meters_are_added_with_their_error(
    server: LiveServer, client: HttpClient
) -> None:
    gpu, cpu = Meter("GPU 0", "gpu", 0.05, 1000.0), Meter("RAPL", "gpu+cpu", 0.10, 800.0)
    parts = (ComponentPower(gpu, 300.0, 300_000_000), ComponentPower(cpu, 100.0, 100_000_000))
    server.house.metering.latest = Sample(0.0, 1.0, parts, 400_000_000, "gpu+cpu", True)
    live = await client.costs.power()
    assert live.watts == 400.0
    assert live.error_share == pytest.approx(0.0625)
    server.house.power._find_counters = lambda: RaplAccess((), (Path("/sys/intel-rapl:0"),))
    meters = await client.costs.meters()
    assert meters.unreadable == ("intel-rapl:0",)
    assert "powercap" in meters.udev_rule


async def test_wrong_questions_are_refused(client: HttpClient) -> None:
    calls: list[Awaitable[object]] = [
        client.costs.summary("2026-11", "colour"),  # type: ignore[arg-type]
        client.costs.history("century"),  # type: ignore[arg-type]
        client.costs.statement("2026-11", "docx"),  # type: ignore[arg-type]
        client.costs.statement("2026-00", "csv"),
        client.costs.summary("9999-12", "day"),
    ]
    for call in calls:
        with pytest.raises(AppError) as refused:
            await call
        assert refused.value.code == "invalid_request"


async def test_without_a_server_the_ledger_answers_alone(tmp_path: Path) -> None:
    paths = fake_paths(tmp_path)
    paths.create()
    with open_costs(paths) as desk:
        assert (await desk.summary("2026-11", "person")).rows == ()


def test_best_hours_of_imported_prices_are_those_to_come() -> None:
    start = datetime.datetime(2026, 11, 24, tzinfo=datetime.UTC)
    starts = tuple(start + datetime.timedelta(hours=hour) for hour in range(48))
    prices = tuple(Decimal(f"0.{hour % 24 + 10}") for hour in range(48))
    series = Series(starts, prices, start + datetime.timedelta(hours=48))
    tariff = Tariff("t", "EUR", "UTC", series=series, tax_rate=Decimal("0.5"))
    hours = priced_hours(tariff, NOW)
    # It is 9:00: this night's cheap hours are over, tomorrow's count, and so does its tax.
    assert [(h.days, h.start) for h in hours[:4]] == [
        ("Wednesday", "00:00"),
        ("Wednesday", "01:00"),
        ("Wednesday", "02:00"),
        ("Wednesday", "03:00"),
    ]
    assert (hours[-1].days, hours[-1].start) == ("Tuesday", "23:00")
    assert hours[0].price == Decimal("0.150")
    advice = give_advice(RestPower(), "gpu", Decimal("0.2"), "EUR", tariff, NOW)
    assert "cheapest on Wednesday from 00:00 to 01:00 (0.15 EUR per kWh)" in advice.sentences[-1]
    assert priced_hours(tariff, NOW + TEN_YEARS_S) == ()


@pytest.mark.allow_logs("no price for|series has no price")
async def test_a_moment_without_an_imported_price_is_said_and_costs_nothing(
    server: LiveServer, client: HttpClient
) -> None:
    server.house.costs.now = lambda: NOW
    rows = [f"2026-11-24T{hour:02}:00Z,0.3" for hour in range(24)]
    await client.costs.import_prices(SeriesImport(text="\n".join(rows), zone="UTC"))
    plan = TariffPlan(name="real time", currency="EUR", zone="UTC", series=True)
    assert (await client.costs.save_tariff(plan)).price_now == Decimal("0.3")
    server.house.costs.now = lambda: NOW + 86_400
    state = await client.costs.tariff()
    assert state.price_now is None
    assert "no price for 2026-11-25T09:00" in state.problem
    assert "Import prices" in state.problem


@pytest.mark.allow_logs("not used", "cannot be read")
async def test_lost_imported_prices_are_said(
    server: LiveServer, client: HttpClient, tmp_path: Path
) -> None:
    rows = [f"2026-11-24T{hour:02}:00Z,0.3" for hour in range(24)]
    await client.costs.import_prices(SeriesImport(text="\n".join(rows), zone="UTC"))
    await client.costs.save_tariff(
        TariffPlan(name="real time", currency="EUR", zone="UTC", series=True)
    )
    (tmp_path / "config" / "tariff_prices.csv").unlink()
    state = await client.costs.tariff()
    assert (state.source, state.price_now) == ("none", None)
    assert "Import the file again" in state.problem
