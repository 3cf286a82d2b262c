"""A month of ledger lines: some people, some models, quiet nights. The same every time."""

from __future__ import annotations

import datetime
import random
from collections.abc import Sequence
from dataclasses import astuple
from decimal import Decimal

from freehold.ledger.book import IDLE_COLUMNS, REQUEST_COLUMNS
from freehold.ledger.entries import IdleEntry, RequestEntry, energy_money
from freehold.power.readings import Level
from freehold.storage.connection import Database

PEOPLE = ("owner", "Ada", "Grace", "Linus")
MODELS = ("Kimi-K2-IQ2", "Qwen3-30B-A3B")
PRICE = Decimal("0.32")


def month_of_lines(
    year: int = 2026,
    month: int = 11,
    days: int = 23,
    *,
    people: Sequence[str] = PEOPLE,
    a_day: int = 12,
    level: Level = "wall",
    price: Decimal = PRICE,
) -> tuple[list[RequestEntry], list[IdleEntry]]:
    """Return the requests and idle intervals of the first `days` of a month."""
    chance = random.Random(7)
    first = datetime.datetime(year, month, 1, tzinfo=datetime.UTC).timestamp()
    requests: list[RequestEntry] = []
    idle: list[IdleEntry] = []
    for day in range(days):
        start = first + day * 86_400
        for number in range(a_day if day % 7 not in (5, 6) else 2):
            prompt = chance.randrange(200, 9000)
            written = chance.randrange(50, 1800)
            joules = prompt * 0.9 + written * 9.5
            microjoules = round(joules * 1e6)
            requests.append(
                RequestEntry(
                    request_id=f"r{day}-{number}",
                    ended_at=start + 8 * 3600 + number * 2400 + chance.random() * 600,
                    person=people[chance.randrange(len(people))],
                    key_name="",
                    model_ref=MODELS[chance.random() < 0.3],
                    prompt_tokens=prompt,
                    cached_tokens=prompt // 3,
                    completion_tokens=written,
                    duration_s=written / 18,
                    microjoules=microjoules,
                    level=level,
                    tariff="flat",
                    price_per_kwh=price,
                    money=energy_money(microjoules, price),
                )
            )
        for hour in range(24):
            microjoules = 92 * 3600 * 1_000_000
            idle.append(
                IdleEntry(
                    start_at=start + hour * 3600,
                    end_at=start + (hour + 1) * 3600 - 1,
                    microjoules=microjoules,
                    level=level,
                    tariff="flat",
                    price_per_kwh=price,
                    money=energy_money(microjoules, price),
                )
            )
    return requests, idle


async def write_lines(
    database: Database, requests: Sequence[RequestEntry], idle: Sequence[IdleEntry]
) -> None:
    """Put lines into a ledger in one transaction, which takes milliseconds instead of a minute."""

    def plain(line: RequestEntry | IdleEntry) -> list[object]:
        return [str(v) if isinstance(v, Decimal) else v for v in astuple(line)]

    def insert(connection: object) -> None:
        for table, columns, lines in (
            ("ledger_request", REQUEST_COLUMNS, requests),
            ("ledger_idle", IDLE_COLUMNS, idle),
        ):
            marks = ", ".join("?" * len(columns))
            statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608
            connection.executemany(statement, map(plain, lines))  # type: ignore[attr-defined]

    await database.write(insert)
