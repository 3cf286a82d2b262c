"""Metering on the loop: scripted meters and steps become ledger lines that add up."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from freehold.engine.protocol import Steps
from freehold.errors import AppError
from freehold.ledger.book import Ledger
from freehold.ledger.entries import IdleEntry, RequestEntry
from freehold.ledger.schema import SCHEMA
from freehold.paths import Paths
from freehold.power.readings import Meter, Reading
from freehold.power.sampler import ComponentPower, Sample
from freehold.power.schema import SCHEMA as POWER_SCHEMA
from freehold.power.store import PowerStore
from freehold.server.metering import AppliedPrice, EndedRequest, Metering
from freehold.storage.connection import Database

PRICE = AppliedPrice("flat", Decimal("0.30"))


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def wall(self) -> float:
        return 1_800_000_000.0 + self.now_s


class Dummy:
    """A meter that is there; the test hands the samples in itself."""

    meter = Meter("scripted", "gpu", 0.05, 1000)

    def read(self) -> Reading:
        return Reading(0.0)


class Book:
    """Keeps lines in memory, and fails as often as told."""

    def __init__(self, failures: int = 0) -> None:
        self.requests: list[RequestEntry] = []
        self.idle: list[IdleEntry] = []
        self.failures = failures

    async def add_lines(self, lines: Sequence[RequestEntry | IdleEntry]) -> None:
        await asyncio.sleep(0)
        if self.failures and any(isinstance(line, RequestEntry) for line in lines):
            self.failures -= 1
            raise AppError("disk_full", "The disk is full.", "Make room.")
        for line in lines:
            if isinstance(line, RequestEntry):
                self.requests.append(line)
            else:
                self.idle.append(line)


def ended(request_id: str, at_s: float, clock: Clock) -> EndedRequest:
    return EndedRequest(request_id, "window", "chat", "kimi", 10, 0, 5, 1.0, clock.wall(), at_s)


async def play(metering: Metering, clock: Clock, seconds: int) -> int:
    """Run an engine of two requests for some seconds; return what the meter counted."""
    metering._loop = asyncio.get_running_loop()
    metering.engine_started("e")
    counted = 0
    for second in range(seconds):
        clock.now_s = float(second + 1)
        watts = 100 if second % 3 == 0 else 400
        counted += watts * 1_000_000
        if watts == 400:
            work = (("a", 0, 1, 50), ("b", 0, 1, 150))
            steps = Steps(until_s=clock.now_s, steps=((second + 0.0, second + 1.0, work),))
        else:
            steps = Steps(until_s=clock.now_s, steps=())
        metering.add_sample(Sample(float(second), second + 1.0, (), watts * 1_000_000, "gpu", True))
        metering.add_steps("e", steps)
        await asyncio.sleep(0)
    return counted


async def test_lines_add_up_to_the_meter() -> None:
    clock, book = Clock(), Book()
    metering = Metering(book, [Dummy()], lambda _: PRICE, clock=clock, wall_clock=clock.wall)  # type: ignore[arg-type]
    counted = await play(metering, clock, 30)
    metering.request_began()
    metering.request_ended(ended("a", 29.5, clock))
    metering.request_began()
    metering.request_ended(ended("b", 29.9, clock))
    await metering.close()
    assert {entry.request_id for entry in book.requests} == {"a", "b"}
    total = sum(entry.microjoules for entry in (*book.requests, *book.idle))
    assert total == counted
    by_id = {entry.request_id: entry.microjoules for entry in book.requests}
    assert by_id["b"] > by_id["a"] > 0
    assert all(entry.tariff == "flat" and entry.money > 0 for entry in book.requests)


async def test_a_line_waits_until_its_windows_are_settled() -> None:
    clock, book = Clock(), Book()
    metering = Metering(book, [Dummy()], lambda _: PRICE, clock=clock, wall_clock=clock.wall)  # type: ignore[arg-type]
    await play(metering, clock, 2)
    metering.add_sample(Sample(2.0, 3.0, (), 400_000_000, "gpu", True))
    clock.now_s = 3.0
    metering.request_began()
    metering.request_ended(ended("a", 2.5, clock))
    await asyncio.sleep(0)
    assert book.requests == []
    metering.add_steps("e", Steps(until_s=3.1, steps=((2.0, 3.0, (("a", 0, 1, 1),)),)))
    for _ in range(5):
        await asyncio.sleep(0)
    (line,) = book.requests
    # One busy second shared with "b" by 1.05 to 1.15 (contexts of 50 and 150), and one alone.
    assert line.microjoules == round(300_000_000 * 1.05 / 2.2) + 300_000_000
    await metering.close()


@pytest.mark.allow_logs("the ledger could not be written")
async def test_a_full_disk_loses_no_line() -> None:
    clock, book = Clock(), Book(failures=1)
    metering = Metering(book, [Dummy()], lambda _: PRICE, clock=clock, wall_clock=clock.wall)  # type: ignore[arg-type]
    await play(metering, clock, 3)
    for name in "ab":
        metering.request_began()
        metering.request_ended(ended(name, 2.9, clock))
        for _ in range(5):
            await asyncio.sleep(0)
    await metering.close()
    assert {entry.request_id for entry in book.requests} == {"a", "b"}


async def test_without_meters_tokens_are_still_counted(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "d", tmp_path / "s", tmp_path / "c", tmp_path / "f")
    paths.create()
    database = Database.open(paths, [SCHEMA])
    try:
        clock = Clock()
        ledger = Ledger(database)
        metering = Metering(ledger, [], lambda _: PRICE, clock=clock, wall_clock=clock.wall)
        await metering.start()
        assert await metering.used("a", 1.0) is None
        metering.request_began()
        metering.request_ended(ended("a", 0.0, clock))
        await metering.close()
        (line,) = await ledger.requests(0, 4e9)
        assert (line.prompt_tokens, line.completion_tokens, line.microjoules) == (10, 5, 0)
    finally:
        database.close()


async def test_the_real_sampler_reads_and_stops() -> None:
    counts = itertools.count()

    class Counting:
        meter = Meter("counting", "gpu", 0.05, 1000)

        def read(self) -> Reading:
            number = next(counts)
            return Reading(float(number), number * 50_000_000)

    book = Book()
    metering = Metering(book, [Counting()], lambda _: PRICE)  # type: ignore[arg-type]
    await metering.start()
    await metering.used("nobody", 0.0)
    await metering.used("nobody", 0.0)
    await metering.close()
    assert metering.latest is not None
    assert metering.latest.watts == 50
    assert sum(entry.microjoules for entry in book.idle) == 50_000_000


async def test_closing_waits_for_requests_that_are_being_ended() -> None:
    clock, book = Clock(), Book()
    metering = Metering(book, [Dummy()], lambda _: PRICE, clock=clock, wall_clock=clock.wall)  # type: ignore[arg-type]
    await play(metering, clock, 3)
    metering.request_began()
    closing = asyncio.create_task(metering.close())
    await asyncio.sleep(0)
    metering.request_ended(ended("a", 2.9, clock))
    await closing
    assert [entry.request_id for entry in book.requests] == ["a"]


async def test_the_history_goes_on_after_a_restart(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "d", tmp_path / "s", tmp_path / "c", tmp_path / "f")
    paths.create()
    database = Database.open(paths, [SCHEMA, POWER_SCHEMA])
    clock = Clock()
    try:
        first = Metering(
            Book(), [Dummy()], lambda _at: PRICE,  # type: ignore[arg-type, list-item]
            clock=clock, wall_clock=clock.wall, store=PowerStore(database),
        )  # fmt: skip
        part = ComponentPower(Dummy.meter, 250.0, 250_000_000)
        for second in range(90):
            clock.now_s = second + 1.0
            first.add_sample(Sample(float(second), clock.now_s, (part,), 250_000_000, "gpu", True))
        await first.close()
        clock.now_s += 120
        second_life = Metering(
            Book(), [Dummy()], lambda _at: PRICE,  # type: ignore[arg-type, list-item]
            clock=clock, wall_clock=clock.wall, store=PowerStore(database),
        )  # fmt: skip
        await second_life.start()
        points = second_life.history.points("hour")
        assert len(points) in (9, 10)
        assert {point.watts for point in points} == {(250.0,)}
        await second_life.close()
    finally:
        database.close()
