"""The figures of the Costs page, from the ledger, the tariff, the prices and what is owned."""

from __future__ import annotations

import asyncio
import datetime
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
from babel.localtime import LOCALTZ

from freehold.errors import AppError
from freehold.ledger.book import Ledger
from freehold.ledger.entries import IdleEntry, RequestEntry
from freehold.ledger.payback import Elsewhere, payback
from freehold.ledger.prices import Carbon, Dated, Prices, load_prices
from freehold.ledger.summary import Grouping, Row, Summary, summarise
from freehold.ledger.tariff_plan import check_plan, plan_of, plan_text
from freehold.paths import Paths, resources
from freehold.secrets import write_private
from freehold.server.costs_file import CostsFile
from freehold.server.tariff_in_force import TariffInForce
from freehold.settings import SettingsFile
from freehold.wire_costs import (
    By,
    CostRow,
    CostsSettings,
    CostSummary,
    Payback,
    Priced,
    PriceList,
    TariffPlan,
    TariffState,
)

MONTH = re.compile(r"^(\d{4})-(\d{2})$")
FOREVER_S = 1e12


@dataclass(slots=True)
class CostDesk:
    """Answers questions about money; needs no running server, only its files and the ledger."""

    paths: Paths
    ledger: Ledger
    settings: SettingsFile
    tariff: TariffInForce
    own: CostsFile
    now: Callable[[], float] = time.time
    bundled_prices: Path = field(default_factory=lambda: resources() / "prices.toml")

    # --- prices --------------------------------------------------------------------------

    @property
    def own_prices(self) -> Path:
        """Return where the person's own price list lies, if there is one."""
        return self.paths.config / "prices.toml"

    def prices(self) -> Prices:
        """Return the person's prices, or the bundled ones. Blocks on the disk."""
        return load_prices(self.bundled_prices, self.own_prices)

    def price_list(self) -> PriceList:
        """Return all prices as the API carries them. Blocks on the disk."""
        return price_list(self.prices(), self._today())

    def copy_prices(self) -> Path:
        """Begin the person's own price list from the bundled one; keep one that is there."""
        if not self.own_prices.exists():
            self.paths.config.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_private(self.own_prices, self.bundled_prices.read_text(encoding="utf-8"))
        return self.own_prices

    # --- months --------------------------------------------------------------------------

    @property
    def zone(self) -> str:
        """Return the local time that months and days are cut in: the tariff's, or the system's."""
        plan = self.tariff.current
        if plan is not None and self.tariff.has_file:
            return plan.zone
        return str(getattr(LOCALTZ, "key", "UTC"))

    @property
    def currency(self) -> str:
        """Return the currency energy is paid in."""
        tariff = self.tariff.current
        return tariff.currency if tariff is not None else self.settings.current.currency

    def this_month(self) -> str:
        """Return the current month, `2026-11`."""
        return datetime.datetime.fromtimestamp(self.now(), ZoneInfo(self.zone)).strftime("%Y-%m")

    def month_bounds(self, month: str) -> tuple[float, float]:
        """Return a month's first second and the next month's.

        Raises: AppError `invalid_request` for what is no month.
        """
        found = MONTH.fullmatch(month)
        if found is None or not 1 <= int(found[2]) <= 12 or not 1971 <= int(found[1]) <= 9998:
            raise AppError(
                "invalid_request", f"{month!r} is not a month.", "Write it like 2026-11."
            )
        year, number = int(found[1]), int(found[2])
        zone = ZoneInfo(self.zone)
        after = (year + 1, 1) if number == 12 else (year, number + 1)
        start = datetime.datetime(year, number, 1, tzinfo=zone)
        return start.timestamp(), datetime.datetime(*after, 1, tzinfo=zone).timestamp()

    async def summary(self, month: str = "", by: By = "person") -> CostSummary:
        """Return a month rolled up; an empty `month` means this one."""
        month = month or self.this_month()
        requests, idle = await self._lines(month)
        rolled = await asyncio.to_thread(self._roll, requests, idle, by)
        return CostSummary(
            month=month,
            by=by,
            currency=self.currency,
            rows=tuple(_row(row) for row in rolled.rows),
            total=_row(rolled.total),
            levels=_levels(requests, idle),
        )

    async def statement(self, month: str, form: str) -> bytes:
        """Return a month's statement as "csv" or "pdf"."""
        month = month or self.this_month()
        if form not in ("csv", "pdf"):
            raise AppError(
                "invalid_request", f"There is no statement as {form!r}.", "Ask for csv or pdf."
            )
        # The PDF library takes a while to load, and few ask for a statement.
        from freehold.ledger.statement import write_csv

        requests, idle = await self._lines(month)
        if form == "csv":
            # The mark tells spreadsheets that this is UTF-8.
            return b"\xef\xbb\xbf" + (await asyncio.to_thread(write_csv, requests, idle)).encode()
        return await asyncio.to_thread(self._pdf, month, requests, idle)

    async def _lines(self, month: str) -> tuple[tuple[RequestEntry, ...], tuple[IdleEntry, ...]]:
        start, end = self.month_bounds(month)
        return await self.ledger.requests(start, end), await self.ledger.idle(start, end)

    def _roll(
        self, requests: tuple[RequestEntry, ...], idle: tuple[IdleEntry, ...], by: Grouping
    ) -> Summary:
        sharing = self.own.current.standby
        return summarise(requests, idle, by, zone=self.zone, sharing=sharing)

    def _pdf(
        self, month: str, requests: tuple[RequestEntry, ...], idle: tuple[IdleEntry, ...]
    ) -> bytes:
        from freehold.ledger.statement import Statement, month_name, write_pdf

        year, number = (int(part) for part in month.split("-"))
        carbon = self._carbon()
        return write_pdf(
            Statement(
                title="What the models cost",
                period=month_name(year, number, "en"),
                currency=self.currency,
                locale="en",
                levels=_levels(requests, idle),
                by_person=self._roll(requests, idle, "person"),
                by_model=self._roll(requests, idle, "model"),
                by_day=self._roll(requests, idle, "day"),
                carbon_kg_per_kwh=carbon.kg_per_kwh if carbon else None,
                carbon_source=f"{carbon.country}, {carbon.source}" if carbon else "",
            )
        )

    def _carbon(self) -> Carbon | None:
        country = self.own.current.country
        return next((c for c in self.prices().carbon if c.country == country), None)

    # --- payback -------------------------------------------------------------------------

    async def payback(self) -> Payback:
        """Return what owning has brought so far."""
        requests = await self.ledger.requests(-FOREVER_S, FOREVER_S)
        idle = await self.ledger.idle(-FOREVER_S, FOREVER_S)
        return await asyncio.to_thread(self._payback, requests, idle)

    def _payback(self, requests: tuple[RequestEntry, ...], idle: tuple[IdleEntry, ...]) -> Payback:
        own = self.own.current
        foreign = self.currency != "USD"
        found = payback(
            requests,
            idle,
            own.capital,
            choose_elsewhere(self.prices(), own),
            self.now(),
            own.dollars_per_unit if foreign else Decimal(1),
        )
        return msgspec.structs.replace(found, rate_note=rate_note(own, self.currency))

    # --- tariff --------------------------------------------------------------------------

    def tariff_state(self) -> TariffState:
        """Return the tariff in force. Blocks on the disk."""
        tariff = self.tariff.current
        price = self.energy_price()
        has_file = self.tariff.has_file
        source = "none" if tariff is None else "plan" if has_file else "price"
        return TariffState(
            source=source,  # type: ignore[arg-type]
            currency=self.currency,
            zone=self.zone,
            price_now=price,
            plan=plan_of(tariff) if tariff is not None and has_file else None,
            problem=self.tariff.problem.sentence if self.tariff.problem else "",
        )

    def energy_price(self) -> Decimal | None:
        """Return the price of a kWh now, tax in it; None where none is known."""
        applied = self.tariff.price_at(self.now())
        return applied.per_kwh if applied.tariff else None

    def save_tariff(self, plan: TariffPlan) -> TariffState:
        """Check and store a tariff. Blocks on the disk.

        Raises: AppError `invalid_request` naming the figure, the hole or the overlap.
        """
        check_plan(plan)
        self.paths.config.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(self.tariff.path, plan_text(plan))
        self.tariff.read_again()
        return self.tariff_state()

    def forget_tariff(self) -> TariffState:
        """Remove the tariff; the price of the settings holds again. Blocks on the disk."""
        self.tariff.path.unlink(missing_ok=True)
        self.tariff.read_again()
        return self.tariff_state()

    def _today(self) -> datetime.date:
        return datetime.datetime.fromtimestamp(self.now(), datetime.UTC).date()


def choose_elsewhere(prices: Prices, own: CostsSettings) -> Elsewhere:
    """Return what owning is held against: what was chosen, else the first open model's API."""
    for seat in prices.subscriptions:
        if seat.name == own.elsewhere:
            name = seat.name if own.seats == 1 else f"{own.seats} × {seat.name}"
            return Elsewhere(name, seats_per_month=seat.per_month * own.seats)
    chosen = [api for api in prices.apis if api.model == own.elsewhere]
    chosen += [api for api in prices.apis if api.open_weights]
    if chosen:
        return Elsewhere(f"the {chosen[0].model} API", api=chosen[0])
    return Elsewhere("a subscription", seats_per_month=Decimal(200) * own.seats)


def rate_note(own: CostsSettings, currency: str) -> str:
    """Return how money in another currency than dollars was converted, "" for dollars."""
    if currency == "USD":
        return ""
    if not own.rate_on:
        return f"no exchange rate is set: 1 {currency} is counted as 1 dollar"
    return f"1 {currency} = {own.dollars_per_unit.normalize():f} dollars, as of {own.rate_on}"


def price_list(prices: Prices, today: datetime.date) -> PriceList:
    """Return prices as the API carries them, old ones marked."""

    def priced(entry: Dated, name: str, note: str = "", **figures: Decimal | int) -> Priced:
        return Priced(
            name=name,
            figures={key: Decimal(value) for key, value in figures.items()},
            note=note,
            source=entry.source,
            checked_on=entry.checked_on.isoformat(),
            stale=entry.is_stale(today),
        )

    return PriceList(
        subscriptions=tuple(priced(s, s.name, per_month=s.per_month) for s in prices.subscriptions),
        apis=tuple(
            priced(
                a,
                a.model,
                "open weights" if a.open_weights else "",
                input=a.input,
                cached=a.cached,
                output=a.output,
            )
            for a in prices.apis
        ),
        scenarios=tuple(
            priced(
                s,
                s.name,
                f"{s.note} Speed: {s.speed_of}.",
                hardware=s.hardware,
                host=s.host,
                watts=s.watts,
                energy_per_month=s.energy_per_month,
                seat_per_month=s.seat_per_month,
                tokens_per_s=s.tokens_per_s,
            )
            for s in prices.scenarios
        ),
        carbon=tuple(priced(c, c.country, kg_per_kwh=c.kg_per_kwh) for c in prices.carbon),
        problem=prices.problem.sentence if prices.problem else "",
    )


def _row(row: Row) -> CostRow:
    return CostRow(
        name=row.name,
        requests=row.requests,
        prompt_tokens=row.prompt_tokens,
        cached_tokens=row.cached_tokens,
        completion_tokens=row.completion_tokens,
        energy_joules=Decimal(row.microjoules) / 1_000_000,
        money=row.money,
    )


def _levels(requests: tuple[RequestEntry, ...], idle: tuple[IdleEntry, ...]) -> tuple[str, ...]:
    return tuple(sorted({*(line.level for line in requests), *(line.level for line in idle)}))
