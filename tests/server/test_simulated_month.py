"""A month of eight people, idle nights, a clock change and a tariff change balances exactly."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import apsw
import pytest

from doubles.ledger_month import write_lines
from freehold.ledger.book import Ledger
from freehold.ledger.charges import TariffStay, month_charges
from freehold.ledger.entries import (
    MONEY_PLACES,
    IdleEntry,
    RequestEntry,
    energy_money,
    tax_in,
)
from freehold.ledger.money import round_money
from freehold.ledger.schema import SCHEMA
from freehold.ledger.summary import STANDBY, summarise
from freehold.ledger.tariff_plan import plan_of
from freehold.ledger.tariffs import Tariff, Tier, flat, price_at
from freehold.paths import Paths
from freehold.power.attribution import Step, Work, attribute
from freehold.storage.connection import Database
from freehold.storage.migrations import Schema

ZONE = "Europe/Berlin"
BERLIN = ZoneInfo(ZONE)
START = datetime(2026, 10, 1, tzinfo=BERLIN).timestamp()
END = datetime(2026, 11, 1, tzinfo=BERLIN).timestamp()
NEW_TARIFF_AT = datetime(2026, 10, 15, tzinfo=BERLIN).timestamp()
PEOPLE = tuple(f"person-{index}" for index in range(8))
MODELS = ("kimi-k2", "gpt-oss-120b")
OLD = replace(
    flat(Decimal("0.2871"), currency="EUR", zone=ZONE),
    name="day and night",
    fixed_per_month=Decimal("11.90"),
    demand_per_kw=Decimal("3.70"),
    tax_rate=Decimal("0.19"),
)
NEW = Tariff(
    "tiers",
    "EUR",
    ZONE,
    tiers=(Tier(Decimal(0), Decimal("0.3333")), Tier(Decimal(20), Decimal("0.2999"))),
    fixed_per_month=Decimal("8.50"),
    tax_rate=Decimal("0.07"),
)
STAYS = (TariffStay(START - 86_400, OLD), TariffStay(NEW_TARIFF_AT, NEW))
IDLE_WATTS = 118.5


@pytest.fixture
def database(tmp_path: Path) -> Database:
    paths = Paths(tmp_path / "d", tmp_path / "s", tmp_path / "c", tmp_path / "f")
    paths.create()
    opened = Database.open(paths, [SCHEMA])
    yield opened
    opened.close()


def tariff_at(moment: float) -> Tariff:
    return NEW if moment >= NEW_TARIFF_AT else OLD


def simulate(seed: int) -> tuple[list[RequestEntry], list[IdleEntry], int]:
    """Return a month's lines and what the meter counted, hour by hour."""
    draw = random.Random(seed)
    requests: list[RequestEntry] = []
    idle: list[IdleEntry] = []
    counted = 0
    start = START
    while start < END:
        end = start + 3600
        local = datetime.fromtimestamp(start, BERLIN)
        busy = 8 <= local.hour < 19 and local.weekday() < 5
        steps, owners = [], {}
        for number in range(draw.randrange(1, 9) if busy else 0):
            began = start + draw.uniform(0, 3000)
            work = []
            for _ in range(draw.randrange(1, 5)):
                request_id = f"{start}-{number}-{len(work)}"
                owners[request_id] = (draw.choice(PEOPLE), draw.choice(MODELS))
                work.append(
                    Work(
                        request_id, draw.randrange(4000), draw.randrange(900), draw.randrange(10**6)
                    )
                )
            steps.append(Step(began, began + draw.uniform(5, 400), tuple(work)))
        active = sum(step.end_s - step.start_s for step in steps) * draw.uniform(150, 500)
        microjoules = round((IDLE_WATTS * 3600 + active) * 1e6)
        counted += microjoules
        shares = attribute(microjoules, start, end, IDLE_WATTS, steps)
        assert shares.total_microjoules == microjoules
        tariff = tariff_at(start)
        price = price_at(tariff, local) * (1 + tariff.tax_rate)
        for request_id, joules in shares.by_request.items():
            person, model = owners[request_id]
            requests.append(
                RequestEntry(
                    request_id,
                    end - 1,
                    person,
                    "window",
                    model,
                    900,
                    100,
                    300,
                    12.0,
                    joules,
                    "gpu",
                    tariff.name,
                    price,
                    energy_money(joules, price),
                    tax_in(energy_money(joules, price), tariff.tax_rate),
                    "EUR",
                )
            )
        idle.append(
            IdleEntry(
                start,
                end,
                shares.idle_microjoules,
                "gpu",
                tariff.name,
                price,
                energy_money(shares.idle_microjoules, price),
                "kimi-k2",
                tax_in(energy_money(shares.idle_microjoules, price), tariff.tax_rate),
                "EUR",
            )
        )
        start = end
    return requests, idle, counted


async def test_the_month_balances_by_person_model_and_day(database: Database) -> None:
    requests, idle, counted = simulate(1)
    ledger = Ledger(database)
    await write_lines(database, requests, idle)
    stored = await ledger.requests(START, END + 1)
    standby = await ledger.idle(START, END + 1)
    assert set(stored) == set(requests)
    assert list(standby) == idle
    for stay in STAYS:
        await ledger.note_tariff(stay.from_at, plan_of(stay.tariff))
    charges = month_charges(stored, standby, await ledger.tariffs(), START, END)
    kinds = [charge.kind for charge in charges]
    assert kinds == ["fixed", "demand", "tier", "fixed"]
    exact = sum((e.money for e in (*requests, *idle)), Decimal(0))
    exact += sum((charge.money + charge.tax for charge in charges), Decimal(0))
    for by in ("person", "model", "day", "month", "hour"):
        found = summarise(stored, standby, by, zone=ZONE, charges=charges)
        assert found.total.microjoules == counted
        assert sum(row.microjoules for row in found.rows) == counted
        parts = [row.money for row in found.rows] + [charge.money for charge in found.charges]
        assert sum(parts) == found.total.money == round_money(exact)
        assert [charge.kind for charge in found.charges] == [*kinds, "tax"]
    # Twice the clock: the old tariff held for 14 of 31 days and an hour, the new one for the rest.
    fixed = [charge.money for charge in charges if charge.kind == "fixed"]
    month_s = Decimal(31 * 86_400 + 3600)
    assert fixed[0] == (Decimal("11.90") * 14 * 86_400 / month_s).quantize(MONEY_PLACES)
    assert fixed[1] == (Decimal("8.50") * (17 * 86_400 + 3600) / month_s).quantize(MONEY_PLACES)
    by_day = summarise(stored, standby, "day", zone=ZONE)
    assert len(by_day.rows) == 31
    by_hour = summarise(stored, standby, "hour", zone=ZONE)
    assert sum(row.name.startswith("2026-10-25") for row in by_hour.rows) == 25
    assert len(by_hour.rows) == 31 * 24 + 1


@pytest.mark.parametrize("sharing", ["own line", "by seat", "by use"])
def test_standby_is_shared_as_the_owner_chose(sharing: str) -> None:
    requests, idle, counted = simulate(2)
    found = summarise(requests, idle, "person", zone=ZONE, sharing=sharing, seats=PEOPLE)
    assert sum(row.microjoules for row in found.rows) == counted
    parts = [row.money for row in found.rows] + [charge.money for charge in found.charges]
    assert sum(parts) == found.total.money
    names = [row.name for row in found.rows]
    assert (STANDBY in names) == (sharing == "own line")
    used: dict[str, int] = defaultdict(int)
    for entry in requests:
        used[entry.person] += entry.microjoules
    added = {row.name: row.microjoules - used[row.name] for row in found.rows if row.name in used}
    if sharing == "by seat":
        assert max(added.values()) - min(added.values()) <= 1
    if sharing == "by use":
        assert sorted(added, key=added.__getitem__) == sorted(used, key=used.__getitem__)


def test_a_month_without_anything_is_empty() -> None:
    found = summarise([], [], "day")
    assert found.rows == ()
    assert found.total.money == 0


async def test_the_ledger_cannot_be_changed_and_counts_a_request_once(database: Database) -> None:
    requests, _, _ = simulate(3)
    ledger = Ledger(database)
    await ledger.add_lines([requests[0]])
    await ledger.add_lines([requests[0], requests[0]])
    assert await ledger.requests(0, END * 2) == (requests[0],)
    connection = apsw.Connection(str(database.path))
    try:
        for statement in ("UPDATE ledger_request SET money = '0'", "DELETE FROM ledger_request"):
            with pytest.raises(apsw.ConstraintError, match="append-only"):
                connection.execute(statement)
    finally:
        connection.close()


def test_a_clock_that_jumped_ten_years_only_moves_lines_to_another_month() -> None:
    requests, idle, counted = simulate(4)
    late = requests[0].ended_at + timedelta(days=3650).total_seconds()
    moved = [RequestEntry("moved", late, *list(_values(requests[0]))[2:]), *requests[1:]]
    found = summarise(moved, idle, "month", zone=ZONE)
    assert sum(row.microjoules for row in found.rows) == counted
    assert found.rows[-1].name == "2036-09"
    assert all(row.money >= 0 for row in found.rows)


def test_each_person_pays_what_their_answers_cost() -> None:
    """Rows without tax plus their tax are the lines themselves, each within a cent."""
    requests, idle, _ = simulate(5)
    charges = month_charges(requests, idle, STAYS, START, END)
    found = summarise(requests, idle, "person", zone=ZONE, charges=charges)
    for row in found.rows:
        lines = idle if row.name == STANDBY else [r for r in requests if r.person == row.name]
        net = sum((line.money - line.tax for line in lines), Decimal(0))
        assert abs(row.money - net) < Decimal("0.01")
        assert row.microjoules == sum(line.microjoules for line in lines)


async def test_a_ledger_of_the_first_version_is_read_and_goes_on(tmp_path: Path) -> None:
    """Its lines name no tax and no currency: all their money counts, in the present currency."""
    paths = Paths(tmp_path / "d", tmp_path / "s", tmp_path / "c", tmp_path / "f")
    paths.create()
    Database.open(paths, [Schema(SCHEMA.feature, SCHEMA.steps[:1])]).close()
    connection = apsw.Connection(str(paths.database))
    connection.execute(
        "INSERT INTO ledger_request VALUES ('r', 100.0, 'Ada', '', 'kimi', 9, 3, 5, 1.0, 3600000,"
        " 'gpu', 'flat', '0.32', '0.5')"
    )
    connection.execute(
        "INSERT INTO ledger_idle VALUES (1.0, 2.0, 7, 'gpu', 'flat', '0.32', '0.25', '')"
    )
    connection.close()
    opened = Database.open(paths, [SCHEMA])
    try:
        ledger = Ledger(opened)
        (request,) = await ledger.requests(0, 1e12)
        (idle,) = await ledger.idle(0, 1e12)
        assert (request.money, request.tax, request.currency) == (Decimal("0.5"), 0, "")
        assert (idle.money, idle.tax, idle.loaded) == (Decimal("0.25"), 0, "")
        assert await ledger.tariffs() == ()
        found = summarise([request], [idle], "person")
        assert found.total.money == Decimal("0.75")
        assert found.charges == ()
    finally:
        opened.close()


def _values(entry: RequestEntry) -> list[object]:
    return [getattr(entry, name) for name in RequestEntry.__dataclass_fields__]
