"""The figures of the Costs page, from the ledger, the tariff, the prices and what is owned."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import msgspec
from babel.localtime import LOCALTZ

from freehold.errors import AppError
from freehold.ledger.book import Ledger
from freehold.ledger.charges import TariffStay
from freehold.ledger.entries import IdleEntry, RequestEntry
from freehold.ledger.exchange import DOLLARS, convert_lines
from freehold.ledger.month_lines import MonthLines, charges_ever, in_one_currency
from freehold.ledger.months import month_bounds, month_of
from freehold.ledger.payback import payback
from freehold.ledger.price_series import parse_series, read_series, series_text
from freehold.ledger.prices import Prices, load_prices
from freehold.ledger.summary import Grouping, Summary, summarise
from freehold.ledger.tariff_plan import check_plan, plan_of, plan_text
from freehold.paths import Paths, resources
from freehold.secrets import write_private
from freehold.server.cost_answers import (
    carbon_words,
    choose_carbon,
    choose_elsewhere,
    levels_of,
    missing_note,
    price_list,
    rate_note,
    rates_of,
    series_state,
    summary_answer,
)
from freehold.server.costs_file import CostsFile
from freehold.server.tariff_in_force import TariffInForce
from freehold.settings import SettingsFile
from freehold.wire_costs import (
    By,
    CostSummary,
    Payback,
    PriceList,
    SeriesImport,
    SeriesState,
    TariffPlan,
    TariffState,
)

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
        return month_of(self.now(), self.zone)

    async def summary(self, month: str = "", by: By = "person") -> CostSummary:
        """Return a month rolled up; an empty `month` means this one."""
        month = month or self.this_month()
        found = await self._read_month(month)
        return await asyncio.to_thread(self._sum, found, month, by)

    async def statement(self, month: str, form: str) -> bytes:
        """Return a month's statement as "csv" or "pdf"."""
        month = month or self.this_month()
        if form not in ("csv", "pdf"):
            raise AppError(
                "invalid_request", f"There is no statement as {form!r}.", "Ask for csv or pdf."
            )
        found = await self._read_month(month)
        return await asyncio.to_thread(self._csv if form == "csv" else self._pdf, month, found)

    async def _read_month(self, month: str) -> MonthLines:
        start, end = month_bounds(month, self.zone)
        await self.note_tariff()
        return await asyncio.to_thread(
            in_one_currency,
            await self.ledger.requests(start, end),
            await self.ledger.idle(start, end),
            await self.ledger.tariffs(),
            (start, end),
            self.currency,
            rates_of(self.own.current),
        )

    def _roll(self, found: MonthLines, by: Grouping) -> Summary:
        return summarise(
            found.requests,
            found.idle,
            by,
            zone=self.zone,
            sharing=self.own.current.standby,
            charges=found.charges,
        )

    def _sum(self, found: MonthLines, month: str, by: By) -> CostSummary:
        return summary_answer(
            self._roll(found, by),
            month,
            by,
            self.currency,
            levels_of(found.requests, found.idle),
            choose_carbon(self.prices(), self.own.current),
            missing_note(found.missing, self.currency),
        )

    def _csv(self, _month: str, found: MonthLines) -> bytes:
        # The PDF library takes a while to load, and few ask for a statement.
        from freehold.ledger.statement import write_csv

        # The mark tells spreadsheets that this is UTF-8.
        return b"\xef\xbb\xbf" + write_csv(found.requests, found.idle, found.charges).encode()

    def _pdf(self, month: str, found: MonthLines) -> bytes:
        from freehold.ledger.statement import Statement, month_name, write_pdf

        year, number = (int(part) for part in month.split("-"))
        carbon = choose_carbon(self.prices(), self.own.current)
        return write_pdf(
            Statement(
                title="What the models cost",
                period=month_name(year, number, "en"),
                currency=self.currency,
                locale="en",
                levels=levels_of(found.requests, found.idle),
                by_person=self._roll(found, "person"),
                by_model=self._roll(found, "model"),
                by_day=self._roll(found, "day"),
                carbon_kg_per_kwh=carbon.kg_per_kwh if carbon else None,
                carbon_source=carbon_words(carbon) if carbon else "",
                note=missing_note(found.missing, self.currency),
            )
        )

    # --- payback -------------------------------------------------------------------------

    async def payback(self) -> Payback:
        """Return what owning has brought so far."""
        await self.note_tariff()
        requests = await self.ledger.requests(-FOREVER_S, FOREVER_S)
        idle = await self.ledger.idle(-FOREVER_S, FOREVER_S)
        stays = await self.ledger.tariffs()
        return await asyncio.to_thread(self._payback, requests, idle, stays)

    def _payback(
        self,
        requests: tuple[RequestEntry, ...],
        idle: tuple[IdleEntry, ...],
        stays: tuple[TariffStay, ...],
    ) -> Payback:
        own, rates = self.own.current, rates_of(self.own.current)
        paid, _ = convert_lines(requests, DOLLARS, rates, self.currency)
        rested, _ = convert_lines(idle, DOLLARS, rates, self.currency)
        charges = charges_ever(requests, idle, stays, self.zone, DOLLARS, rates)
        elsewhere = choose_elsewhere(self.prices(), own)
        found = payback(paid, rested, own.capital, elsewhere, self.now(), charges)
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
            series=self._series_state(),
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
        series = read_series(self.tariff.series_path) if plan.series and self._has_series else None
        check_plan(plan, series)
        self.paths.config.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(self.tariff.path, plan_text(plan))
        self.tariff.read_again()
        return self.tariff_state()

    def forget_tariff(self) -> TariffState:
        """Remove the tariff; the price of the settings holds again. Blocks on the disk."""
        self.tariff.path.unlink(missing_ok=True)
        self.tariff.read_again()
        return self.tariff_state()

    def import_series(self, wanted: SeriesImport) -> SeriesState:
        """Check and keep prices by time; a tariff that says so uses them. Blocks on the disk.

        Raises: AppError `invalid_request` naming the line, the hole or the overlap.
        """
        series = parse_series(wanted.text, wanted.zone, wanted.unit)
        self.paths.config.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(self.tariff.series_path, series_text(series))
        self.tariff.read_again()
        return series_state(series)

    async def note_tariff(self) -> None:
        """Write down which tariff holds from now on, if it is another than before.

        Standing and demand charges of a month follow from these notes.
        """
        tariff = await asyncio.to_thread(lambda: self.tariff.current)
        await self.ledger.note_tariff(self.now(), None if tariff is None else plan_of(tariff))

    @property
    def _has_series(self) -> bool:
        return self.tariff.series_path.exists()

    def _series_state(self) -> SeriesState | None:
        tariff = self.tariff.current
        if tariff is not None and tariff.series is not None:
            return series_state(tariff.series)
        if not self._has_series:
            return None
        try:
            return series_state(read_series(self.tariff.series_path))
        except AppError:
            return None  # a tariff that uses it says so itself

    def _today(self) -> datetime.date:
        return datetime.datetime.fromtimestamp(self.now(), datetime.UTC).date()
