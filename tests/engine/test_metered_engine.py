"""The real engine under 16 streams with a scripted meter: every microjoule has one owner."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from decimal import Decimal

import pytest

from doubles.meter import ScriptedMeter
from doubles.models import tiny_model
from doubles.waiting import until
from freehold.engine.process import ProcessEngine
from freehold.engine.protocol import Delta, Done
from freehold.engine.requests import GenerateRequest, LoadOptions, SamplingParams, TextPrompt
from freehold.ledger.entries import IdleEntry, RequestEntry, energy_money
from freehold.server.metered_engine import MeteredEngine
from freehold.server.metering import AppliedPrice, Metering

pytestmark = pytest.mark.engine

STREAMS = 16
STORY = "The house stood on a hill above the sea, and nobody had lived in it for years. " * 4
SAMPLING = SamplingParams(temperature=0, ignore_eos=True)
PRICE = AppliedPrice("flat", Decimal("0.32"), "EUR")


class Book:
    """A ledger in memory."""

    def __init__(self) -> None:
        self.requests: list[RequestEntry] = []
        self.idle: list[IdleEntry] = []

    async def add_lines(self, lines: Sequence[RequestEntry | IdleEntry]) -> None:
        for line in lines:
            if isinstance(line, RequestEntry):
                self.requests.append(line)
            else:
                self.idle.append(line)


class Swinging:
    """Power that is never the same: rest until the work begins, then up and down."""

    is_busy = False

    def __call__(self, since_s: float) -> float:
        return 300.0 + 140.0 * math.sin(9 * since_s) if self.is_busy else 60.0


async def stream(engine: MeteredEngine, number: int) -> Done | None:
    """Ask one question; every fourth person stops after a few tokens."""
    request = GenerateRequest(
        id=f"r{number}",
        prompt=TextPrompt(text=STORY * (1 + number % 3)),
        sampling=SAMPLING,
        max_tokens=24 + 6 * (number % 4),
        key=f"person-{number % 5}",
        priority_key=f"person-{number % 5}",
    )
    seen, done = 0, None
    async for event in engine.generate(request):
        if isinstance(event, Delta):
            seen += 1
            if number % 4 == 3 and seen == 6:
                await engine.cancel(request.id)
        elif isinstance(event, Done):
            done = event
    return done


async def test_sixteen_streams_share_out_the_meter_exactly() -> None:
    power, book = Swinging(), Book()
    meter = ScriptedMeter(power)
    metering = Metering(book, [meter], lambda _at: PRICE)  # type: ignore[arg-type]
    engine = MeteredEngine(ProcessEngine(), "tiny", metering)
    await metering.start()
    options = LoadOptions(path=str(tiny_model()), parallel=STREAMS, context_tokens=8192, threads=1)
    await engine.load(options)
    await until(lambda: metering.account.idle_watts is not None, timeout_s=30)
    power.is_busy = True
    try:
        ended = await asyncio.gather(*(stream(engine, number) for number in range(STREAMS)))
    finally:
        await engine.close()
        await metering.close()
    assert {entry.request_id for entry in book.requests} == {f"r{n}" for n in range(STREAMS)}
    shared = sum(entry.microjoules for entry in book.requests)
    idle = sum(entry.microjoules for entry in book.idle)
    assert meter.counted > 0
    assert shared + idle == meter.counted
    assert shared > 0
    assert all(entry.microjoules >= 0 for entry in (*book.requests, *book.idle))
    assert all(entry.level == "wall" for entry in book.requests)
    # Those who stopped keep what they used, and used less than those who did not.
    stopped = [e for e in book.requests if int(e.request_id[1:]) % 4 == 3]
    assert all(entry.microjoules > 0 for entry in stopped)
    for entry in book.requests:
        assert entry.money == energy_money(entry.microjoules, PRICE.per_kwh)
    assert sum(entry.money for entry in book.requests) > 0
    # An answer says what is known when it ends; the ledger's line follows a moment later.
    lines = {entry.request_id: entry.microjoules for entry in book.requests}
    told = [done for done in ended if done is not None and done.usage.energy is not None]
    assert told
    for done in told:
        assert done.usage.energy is not None
        assert done.usage.energy.joules > 0
        assert done.usage.energy.currency == "EUR"
        assert done.id in lines
