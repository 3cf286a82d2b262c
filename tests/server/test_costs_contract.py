"""What every `CostsClient` keeps to: the same assertions on `HttpCosts` over a real server and on
the `FakeCosts` the window's tests use."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from doubles.client import FakeClient
from doubles.ledger_month import month_of_lines, write_lines
from doubles.plug import PlugServer
from doubles.server import FakeModels, LiveServer, fake_house
from freehold.client.costs import CostsClient
from freehold.client.http import HttpClient
from freehold.errors import AppError
from freehold.wire_costs import (
    CostsSettings,
    ExchangeRate,
    OwnOrRent,
    SeriesImport,
    TariffPeriod,
    TariffPlan,
    TariffTier,
)
from freehold.wire_power import (
    Plug,
)

NOW = datetime.datetime(2026, 11, 24, 9, tzinfo=datetime.UTC).timestamp()
POPULAR = OwnOrRent(hardware=Decimal(25000), energy_per_month=Decimal(90), developers=10)
DAY_AND_NIGHT = TariffPlan(
    name="Day and night",
    currency="EUR",
    zone="UTC",
    periods=(
        TariffPeriod(name="night", price="0.21", start="22:00", end="06:00"),
        TariffPeriod(name="day", price="0.34", start="06:00", end="22:00"),
    ),
)


@contextlib.asynccontextmanager
async def http_costs(folder: Path, plug: PlugServer) -> AsyncIterator[CostsClient]:
    server = LiveServer(lambda: fake_house(folder, FakeModels()))
    await asyncio.to_thread(server.start)
    try:
        house = server.house
        house.costs.now = lambda: NOW

        async def seed() -> None:
            await write_lines(house.database, *month_of_lines())

        await asyncio.to_thread(server.call, seed)
        client = HttpClient(server.url, server.key)
        try:
            yield client.costs
        finally:
            await client.close()
    finally:
        await asyncio.to_thread(server.stop)


@contextlib.asynccontextmanager
async def fake_costs(plug: PlugServer) -> AsyncIterator[CostsClient]:
    client = FakeClient()
    client.costs.requests, client.costs.idle = month_of_lines()
    client.costs.plugs[plug.host] = "shelly-2"
    yield client.costs
    await client.close()


@pytest.fixture
def plug() -> AsyncIterator[PlugServer]:  # type: ignore[misc]
    with PlugServer("shelly-2") as server:
        yield server  # type: ignore[misc]


@pytest.fixture(params=["http", "fake"])
async def costs(
    request: pytest.FixtureRequest, tmp_path: Path, plug: PlugServer
) -> AsyncIterator[CostsClient]:
    world = http_costs(tmp_path, plug) if request.param == "http" else fake_costs(plug)
    async with world as client:
        yield client


async def refused(call: object) -> AppError:
    with pytest.raises(AppError) as error:
        await call  # type: ignore[misc]
    assert error.value.hint
    return error.value


async def test_the_popular_sum_is_answered_at_once(costs: CostsClient) -> None:
    await costs.own_or_rent(POPULAR)
    began = time.perf_counter()
    answer = await costs.own_or_rent(POPULAR)
    assert time.perf_counter() - began < 0.05
    assert answer.break_even_years is not None
    assert round(answer.break_even_years, 2) == Decimal("1.09")
    assert answer.outcome == "pays"
    assert "10 developers" in answer.verdict


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"hardware": Decimal(-1)}, "hardware"),
        ({"life_years": Decimal(0)}, "life"),
        ({"developers": 0}, "developers"),
        ({"hardware": Decimal("NaN")}, "hardware"),
        ({"seat_per_month": Decimal("1e30")}, "seat"),
        ({"use_share": Decimal(2)}, "share of use"),
        ({"resale_share": Decimal(-1)}, "resale"),
    ],
)
async def test_figures_that_cannot_be_are_named(
    costs: CostsClient, changes: dict[str, object], named: str
) -> None:
    error = await refused(costs.own_or_rent(msgspec.structs.replace(POPULAR, **changes)))
    assert error.code == "invalid_request"
    assert named in error.message


async def test_prices_carry_their_date_and_age(costs: CostsClient) -> None:
    prices = await costs.prices()
    assert prices.scenarios[0].figures["hardware"] == 25000
    assert prices.problem == ""
    ages = {p.name: p.stale for p in (*prices.apis, *prices.carbon)}
    assert ages["Germany"]
    assert not prices.subscriptions[0].stale


async def test_a_month_adds_up_however_it_is_cut(costs: CostsClient) -> None:
    totals = set()
    for by in ("person", "model", "day", "hour"):
        found = await costs.summary("2026-11", by)  # type: ignore[arg-type]
        assert sum(row.money for row in found.rows) == found.total.money
        assert sum(row.energy_joules for row in found.rows) == found.total.energy_joules
        totals.add((found.total.money, found.total.energy_joules, found.total.requests))
        assert found.levels == ("wall",)
    assert len(totals) == 1
    assert (await costs.summary()).month == "2026-11"
    empty = await costs.summary("2020-01")
    assert (empty.rows, empty.total.money) == ((), 0)
    assert (await refused(costs.summary("November"))).code == "invalid_request"


async def test_standby_is_shared_as_the_owner_chose(costs: CostsClient) -> None:
    alone = await costs.summary("2026-11")
    assert "standby" in [row.name for row in alone.rows]
    await costs.save_settings(CostsSettings(standby="by use"))
    shared = await costs.summary("2026-11")
    assert "standby" not in [row.name for row in shared.rows]
    assert shared.total == alone.total


async def test_payback_is_reckoned_from_what_is_owned(costs: CostsClient) -> None:
    before = await costs.payback()
    assert before.share is None
    assert before.tokens > 0
    await costs.save_settings(
        CostsSettings(capital=Decimal(12000), elsewhere="Claude Max (20x)", seats=4)
    )
    after = await costs.payback()
    assert after.elsewhere_name == "4 × Claude Max (20x)"
    assert after.share is not None
    assert 0 < after.share < 1
    assert after.pays_off_on > "2027"


async def test_what_is_owned_is_checked(costs: CostsClient) -> None:
    for wrong in (
        CostsSettings(capital=Decimal(-5)),
        CostsSettings(capital=Decimal("Infinity")),
        CostsSettings(seats=0),
        CostsSettings(rates=(ExchangeRate(currency="EUR", on="2026-11-01", dollars=Decimal(0)),)),
        CostsSettings(
            rates=(ExchangeRate(currency="EUR", on="2026-11-01", dollars=Decimal("NaN")),)
        ),
        CostsSettings(rates=(ExchangeRate(currency="XXQ", on="2026-11-01", dollars=Decimal(1)),)),
        CostsSettings(rates=(ExchangeRate(currency="EUR", on="yesterday", dollars=Decimal(1)),)),
    ):
        assert (await refused(costs.save_settings(wrong))).code == "invalid_request"
    assert await costs.settings() == CostsSettings()


async def test_statements_are_files(costs: CostsClient) -> None:
    text = (await costs.statement("2026-11", "csv")).decode("utf-8-sig")
    assert text.startswith("ended_at,kind,person")
    assert len(text.splitlines()) == 1 + sum(len(lines) for lines in month_of_lines())
    assert (await costs.statement("2026-11", "pdf")).startswith(b"%PDF-")


async def test_a_tariff_is_kept_and_removed(costs: CostsClient) -> None:
    assert (await costs.tariff()).source == "none"
    stored = await costs.save_tariff(DAY_AND_NIGHT)
    assert (stored.source, stored.plan, stored.price_now) == (
        "plan",
        DAY_AND_NIGHT,
        Decimal("0.34"),
    )
    assert await costs.tariff() == stored
    taxed = await costs.save_tariff(msgspec.structs.replace(DAY_AND_NIGHT, tax_rate="0.25"))
    assert taxed.price_now == Decimal("0.425")
    assert (await costs.save_tariff(None)).source == "none"


@pytest.mark.parametrize(
    ("plan", "named"),
    [
        (msgspec.structs.replace(DAY_AND_NIGHT, periods=DAY_AND_NIGHT.periods[:1]), "06:00"),
        (
            msgspec.structs.replace(
                DAY_AND_NIGHT,
                periods=(*DAY_AND_NIGHT.periods, TariffPeriod(name="all", price="1")),
            ),
            "Two prices",
        ),
        (msgspec.structs.replace(DAY_AND_NIGHT, currency="XXQ"), "XXQ"),
        (msgspec.structs.replace(DAY_AND_NIGHT, zone="Mars/Olympus"), "Mars"),
        (msgspec.structs.replace(DAY_AND_NIGHT, tax_rate="-1"), "tax"),
        (msgspec.structs.replace(DAY_AND_NIGHT, fixed_per_month="many"), "many"),
        (
            TariffPlan(
                name="t",
                currency="EUR",
                zone="UTC",
                periods=(TariffPeriod(name="p", price="-0.1"),),
            ),
            "-0.1",
        ),
        (TariffPlan(name="t", currency="EUR", zone="UTC"), ""),
        (
            TariffPlan(
                name="t",
                currency="EUR",
                zone="UTC",
                tiers=(TariffTier(from_kwh="5", price="0.2"),),
            ),
            "first tier",
        ),
    ],
)
async def test_a_wrong_tariff_is_named_and_refused(
    costs: CostsClient, plan: TariffPlan, named: str
) -> None:
    error = await refused(costs.save_tariff(plan))
    assert error.code == "invalid_request"
    assert named in error.message
    assert (await costs.tariff()).source == "none"


async def test_a_plug_is_tried_before_it_is_kept(costs: CostsClient, plug: PlugServer) -> None:
    assert (await refused(costs.set_plug(Plug(kind="tasmota", host=plug.host)))).code == (
        "network_failed"
    )
    assert (await refused(costs.set_plug(Plug(kind="tasmota", host="a/b")))).code == (
        "invalid_request"
    )
    assert (await costs.settings()).plug is None
    wanted = Plug(kind="shelly-2", host=plug.host)
    assert (await costs.set_plug(wanted)).plug == wanted
    assert (await costs.settings()).plug == wanted
    # The rest of the settings never changes a plug.
    assert (await costs.save_settings(CostsSettings(seats=2))).plug == wanted
    assert (await costs.set_plug(None)).plug is None


async def test_power_without_a_meter_claims_nothing(costs: CostsClient) -> None:
    live = await costs.power()
    assert (live.watts, live.parts, live.money_per_hour) == (None, (), None)
    for span in ("minute", "hour", "day", "month"):
        curve = await costs.history(span)  # type: ignore[arg-type]
        assert (curve.span, curve.points) == (span, ())
    assert (await costs.advice()).idle_per_month is None


BILL = TariffPlan(
    name="tiers",
    currency="EUR",
    zone="UTC",
    tiers=(TariffTier(from_kwh="0", price="0.20"), TariffTier(from_kwh="10", price="0.30")),
    fixed_per_month="9.90",
    demand_per_kw="4",
    tax_rate="0.19",
)


async def test_the_bill_has_lines_of_its_own_and_still_adds_up(costs: CostsClient) -> None:
    await costs.save_tariff(BILL)
    for by in ("person", "model", "day"):
        found = await costs.summary("2026-11", by)  # type: ignore[arg-type]
        # It holds since the 24th at 9:00, and nothing was metered since.
        assert [charge.kind for charge in found.charges] == ["fixed", "tax"]
        assert found.charges[0].money == Decimal("2.19")
        parts = [row.money for row in found.rows] + [charge.money for charge in found.charges]
        assert sum(parts) == found.total.money
    empty = await costs.summary("2026-12")
    assert (empty.charges, empty.total.money) == ((), 0)


async def test_co2_has_its_country_source_and_date(costs: CostsClient) -> None:
    assert (await costs.summary("2026-11")).carbon_kg is None
    await costs.save_settings(CostsSettings(country="Germany"))
    found = await costs.summary("2026-11")
    kwh = found.total.energy_joules / 3_600_000
    assert found.carbon_kg == (kwh * Decimal("0.380")).quantize(Decimal("0.001"))
    assert "Germany" in found.carbon_source
    assert "checked 2025-10-01" in found.carbon_source


async def test_prices_by_time_are_imported_then_used(costs: CostsClient) -> None:
    real_time = TariffPlan(name="real time", currency="EUR", zone="UTC", series=True)
    error = await refused(costs.save_tariff(real_time))
    assert "No prices have been imported" in error.message
    hours = [f"2026-11-24T{hour:02}:00Z,{hour * 10}" for hour in range(24)]
    text = "\n".join(["start,price EUR/MWh", *hours])
    error = await refused(costs.import_prices(SeriesImport(text=text[:-100], zone="UTC")))
    assert error.code == "invalid_request"
    state = await costs.import_prices(SeriesImport(text=text, zone="UTC"))
    assert (state.count, state.step_minutes) == (24, 60)
    assert (state.lowest, state.highest) == (0, Decimal("0.230"))
    stored = await costs.save_tariff(real_time)
    assert stored.plan is not None
    assert stored.plan.series
    assert stored.series == state
    assert stored.price_now == Decimal("0.090")


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Mars/Olympus"])
async def test_a_hole_in_imported_prices_is_named(costs: CostsClient, zone: str) -> None:
    hours = [f"2026-11-24 {hour:02}:00,0.1" for hour in range(24) if hour != 7]
    error = await refused(costs.import_prices(SeriesImport(text="\n".join(hours), zone=zone)))
    assert "Mars" in error.message or "07:00 to 24 Nov 2026 08:00" in error.message
    assert (await costs.tariff()).series is None
