"""What the machine draws and whose it was: meters, engines' steps and the ledger joined.

Everything here runs on the server's loop but for the sampler's thread, which hands its samples
over. A request's line is written once the meter windows it ran in are settled.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from freehold.engine.protocol import Steps
from freehold.engine.requests import UsedEnergy
from freehold.errors import AppError
from freehold.ledger.book import Ledger
from freehold.ledger.entries import IdleEntry, RequestEntry, energy_money, tax_in
from freehold.power.account import EnergyAccount, Settled
from freehold.power.attribution import Step, Work, fit
from freehold.power.history import PowerHistory
from freehold.power.readings import Level, Meter
from freehold.power.rest import RestPower
from freehold.power.sampler import Sample, Sampler, choose_sources, whole_level
from freehold.power.sources import Source
from freehold.power.store import PowerStore
from freehold.power.whole import WholeMachine

log = logging.getLogger(__name__)

IDLE_LINE_S = 300.0
REFIT_EVERY_S = 3600.0
KEEP_EVERY_S = 60.0
QUICK_READ_S = 0.05
LAST_REQUESTS_S = 2.0


@dataclass(frozen=True, slots=True)
class AppliedPrice:
    """The price of a kWh at a moment, and the tariff that says so ("" where none is set).

    per_kwh: with tax in it, at `tax_rate`.
    """

    tariff: str
    per_kwh: Decimal
    currency: str = ""
    tax_rate: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class EndedRequest:
    """A request that ended, as its line will say. Times: Unix seconds, and monotonic ones."""

    request_id: str
    person: str
    key_name: str
    model_ref: str
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    duration_s: float
    ended_at: float
    ended_s: float


@dataclass(slots=True)
class _IdleSum:
    start_at: float
    end_at: float
    microjoules: int
    level: Level
    price: AppliedPrice


class Metering:
    """Reads the meters, shares their energy out and keeps the ledger."""

    def __init__(
        self,
        ledger: Ledger,
        sources: Sequence[Source],
        price_at: Callable[[float], AppliedPrice],
        *,
        store: PowerStore | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._ledger = ledger
        self._price_at = price_at
        self._clock = clock
        self._wall_clock = wall_clock
        self._store = store
        self.choose(sources)
        self.account = EnergyAccount()
        self.history = PowerHistory()
        self.rest = RestPower()
        self.latest: Sample | None = None
        self._sampler: Sampler | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: deque[EndedRequest] = deque()
        self._idle: _IdleSum | None = None
        self._lines: deque[RequestEntry | IdleEntry] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._tokens = 0
        self._open = 0
        self._all_ended = asyncio.Event()
        self._is_closed = False
        self._fitted_s = self._kept_s = clock()
        self._keeping: asyncio.Task[None] | None = None

    # --- life

    async def start(self) -> None:
        """Begin to sample, if there is anything to read; go on with the history that was kept."""
        self._loop = asyncio.get_running_loop()
        await self._load_history()
        self._start_sampler()

    async def use_sources(
        self, sources: Sequence[Source], whole: WholeMachine | None = None
    ) -> None:
        """Go on with other meters; what the former ones counted is kept."""
        if self._sampler is not None:
            await asyncio.to_thread(self._sampler.stop)
            self._sampler = None
        await self._keep_history()
        self.choose(sources, whole)
        self.rest, self.latest = RestPower(), None
        self.account.idle_watts = None
        await self._load_history()
        self._start_sampler()

    def choose(self, sources: Sequence[Source], whole: WholeMachine | None = None) -> None:
        """Take the meters to be added up from those there are, and what they do not see."""
        self.sources = choose_sources(sources)
        self.level = whole_level(self.sources, whole)
        self.whole = whole if self.level == "calculated" else None

    @property
    def meters(self) -> tuple[Meter, ...]:
        """Return what is added up, in the order of a sample's components."""
        found = tuple(source.meter for source in self.sources)
        return found if self.whole is None else (*found, self.whole.meter)

    @property
    def parts(self) -> tuple[str, ...]:
        """Return the names of what is added up."""
        return tuple(meter.source for meter in self.meters)

    def _start_sampler(self) -> None:
        if not self.sources:
            return
        self._sampler = Sampler(self.sources, self._from_thread, whole=self.whole)
        self._sampler.start()

    async def _load_history(self) -> None:
        self.history = PowerHistory()
        if self._store is None or not self.sources:
            return
        try:
            self.history = await self._store.load(self.parts, self._wall_clock())
        except AppError as error:
            log.warning("the history of power could not be read: %s", error.message)

    async def _keep_history(self) -> None:
        changed = self.history.take_changed()
        if self._store is None or not changed:
            return
        try:
            await self._store.save(changed, self.parts, self._wall_clock())
        except AppError as error:
            # A picture with a gap; the ledger's own lines are tried again, this is not.
            log.info("the history of power could not be kept: %s", error.message)

    async def close(self) -> None:
        """Wait for requests that are just being ended, settle what there is, write it down."""
        if self._open:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_ended.wait(), LAST_REQUESTS_S)
        self._is_closed = True
        if self._sampler is not None:
            await asyncio.to_thread(self._sampler.stop)
            self._sampler = None
        if self._reading is not None:
            await asyncio.gather(self._reading, return_exceptions=True)
        self._advance(far_in_the_future=True)
        self._flush_idle()
        if self._keeping is not None:
            await self._keeping
        await self._keep_history()
        if self._writing is not None:
            await self._writing
        await self._write_lines()

    # --- what comes in

    def engine_started(self, engine: str) -> None:
        """Wait for an engine's steps from now on."""
        self.account.add_engine(engine, self._clock())

    def engine_ended(self, engine: str) -> None:
        """Stop waiting for an engine."""
        self.account.remove_engine(engine)

    def add_steps(self, engine: str, told: Steps) -> None:
        """Take over what an engine did."""
        if not self.sources:
            return
        steps = tuple(
            Step(start_s, end_s, tuple(Work(*work) for work in works))
            for start_s, end_s, works in told.steps
        )
        self._tokens += sum(work.decode_tokens for step in steps for work in step.work)
        self.account.add_steps(engine, steps, told.until_s)
        self._advance()

    def request_began(self) -> None:
        """Count a request that will end."""
        self._open += 1
        self._all_ended.clear()

    def request_ended(self, ended: EndedRequest) -> None:
        """Write the request's line as soon as its energy is known."""
        self._open -= 1
        if self._open <= 0:
            self._all_ended.set()
        if self._is_closed:
            log.error("request %s ended after the ledger was closed", ended.request_id)
            return
        self._ended.append(ended)
        self._advance()

    def _from_thread(self, sample: Sample) -> None:
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # the loop may have closed between two samples
            self._loop.call_soon_threadsafe(self.add_sample, sample)

    def add_sample(self, sample: Sample) -> None:
        """Take over a meter window."""
        self.latest = sample
        self.account.add_sample(sample)
        span_s = sample.end_s - sample.start_s
        watts = tuple(component.watts for component in sample.components)
        self.history.add(self._wall_clock(), watts, self._tokens, span_s)
        self._tokens = 0
        self._advance()
        if self._clock() - self._kept_s > KEEP_EVERY_S and self._loop is not None:
            self._kept_s = self._clock()
            if self._keeping is None or self._keeping.done():
                self._keeping = self._loop.create_task(self._keep_history(), name="keep-history")
        if self._clock() - self._fitted_s > REFIT_EVERY_S:
            self._fitted_s = self._clock()
            self.account.by = fit(self.account.observations) or self.account.by

    # --- what goes out

    async def used(self, request_id: str, duration_s: float) -> UsedEnergy | None:
        """Return a request's energy up to now, reading the meters once more if that is quick."""
        if self._sampler is None:
            return None
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_once(), name="read-meters")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._reading), QUICK_READ_S)
        found = self.account.preview(request_id)
        if found is None:
            return None
        price = self._price_at(self._wall_clock())
        return UsedEnergy(
            joules=found.microjoules / 1e6,
            level=found.level,
            duration_s=duration_s,
            money=str(energy_money(found.microjoules, price.per_kwh)) if price.tariff else "",
            currency=price.currency,
        )

    async def _read_once(self) -> None:
        sampler = self._sampler
        sample = await asyncio.to_thread(sampler.read_now) if sampler is not None else None
        if sample is not None:
            self.add_sample(sample)

    def _advance(self, *, far_in_the_future: bool = False) -> None:
        now_s = float("inf") if far_in_the_future else self._clock()
        for settled in self.account.settle(now_s):
            self._add_idle(settled)
            self._add_rest(settled)
        while self._ended and (
            not self.sources or far_in_the_future or self.account.is_settled(self._ended[0].ended_s)
        ):
            self._lines.append(self._line(self._ended.popleft()))
        if self._lines and (self._writing is None or self._writing.done()) and self._loop:
            self._writing = self._loop.create_task(self._write_lines(), name="write-ledger")

    def _line(self, ended: EndedRequest) -> RequestEntry:
        energy = self.account.close_request(ended.request_id)
        microjoules = energy.microjoules if energy is not None else 0
        price = self._price_at(ended.ended_at)
        money = energy_money(microjoules, price.per_kwh)
        return RequestEntry(
            request_id=ended.request_id,
            ended_at=ended.ended_at,
            person=ended.person,
            key_name=ended.key_name,
            model_ref=ended.model_ref,
            prompt_tokens=ended.prompt_tokens,
            cached_tokens=ended.cached_tokens,
            completion_tokens=ended.completion_tokens,
            duration_s=ended.duration_s,
            microjoules=microjoules,
            level=energy.level if energy is not None else self.level,
            tariff=price.tariff,
            price_per_kwh=price.per_kwh,
            money=money,
            tax=tax_in(money, price.tax_rate),
            currency=price.currency,
        )

    def _add_idle(self, settled: Settled) -> None:
        """Put a window's standby to the open interval; close it when it is long or changes."""
        # Wall time is derived from the monotonic one, so that a clock that is set moves no line.
        end_at = self._wall_clock() - (self._clock() - settled.end_s)
        start_at = end_at - (settled.end_s - settled.start_s)
        price = self._price_at(end_at)
        idle = self._idle
        if idle is not None and (
            idle.price != price
            or idle.level != settled.level
            or end_at - idle.start_at > IDLE_LINE_S
            or end_at < idle.end_at
        ):
            self._flush_idle()
            idle = None
        if idle is None:
            idle = self._idle = _IdleSum(start_at, start_at, 0, settled.level, price)
        idle.microjoules += settled.idle_microjoules
        idle.end_at = end_at

    def _add_rest(self, settled: Settled) -> None:
        span_s = settled.end_s - settled.start_s
        if settled.complete and not settled.by_request and span_s > 0:
            watts = settled.idle_microjoules / 1e6 / span_s
            self.rest.add(watts, span_s, loaded=self.account.has_engines)

    def _flush_idle(self) -> None:
        idle, self._idle = self._idle, None
        if idle is None or idle.microjoules == 0:
            return
        money = energy_money(idle.microjoules, idle.price.per_kwh)
        self._lines.append(
            IdleEntry(
                start_at=idle.start_at,
                end_at=idle.end_at,
                microjoules=idle.microjoules,
                level=idle.level,
                tariff=idle.price.tariff,
                price_per_kwh=idle.price.per_kwh,
                money=money,
                tax=tax_in(money, idle.price.tax_rate),
                currency=idle.price.currency,
            )
        )

    async def _write_lines(self) -> None:
        while self._lines:
            lines = tuple(self._lines)
            try:
                await self._ledger.add_lines(lines)
            except AppError as error:
                # The lines stay first in the queue and are tried again with the next one.
                log.warning("the ledger could not be written: %s", error.message)
                return
            for _ in lines:
                self._lines.popleft()
