"""`CostsClient` without a server: ledger lines, meters and a tariff that a test sets.

    client.costs.requests, client.costs.idle = month_of_lines()
    client.costs.live = LivePower(...)
    client.costs.plugs["192.168.1.40"] = "shelly-2"     # answers; every other host does not
    client.costs.fail_next("save_tariff", AppError(...))

Sums and comparisons are those of the real ledger, so that figures on a page are real ones.
"""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path

import msgspec

from freehold.errors import AppError
from freehold.ledger.charges import TariffStay
from freehold.ledger.comparison import own_or_rent
from freehold.ledger.entries import IdleEntry, RequestEntry
from freehold.ledger.exchange import convert_lines
from freehold.ledger.month_lines import charges_ever, in_one_currency
from freehold.ledger.months import month_bounds
from freehold.ledger.payback import payback
from freehold.ledger.price_series import parse_series
from freehold.ledger.prices import load_prices
from freehold.ledger.statement import write_csv
from freehold.ledger.summary import summarise
from freehold.ledger.tariff_plan import check_plan, plan_of
from freehold.ledger.tariffs import Series, price_at
from freehold.paths import resources
from freehold.power.history import POINT_S, SPAN_S
from freehold.server.cost_answers import (
    choose_carbon,
    choose_elsewhere,
    levels_of,
    price_list,
    rate_note,
    rates_of,
    series_state,
    summary_answer,
)
from freehold.server.costs_file import check_costs
from freehold.wire import Changed
from freehold.wire_costs import (
    By,
    CostsSettings,
    CostSummary,
    OwnOrRent,
    OwnOrRentAnswer,
    Payback,
    PriceList,
    SeriesImport,
    SeriesState,
    TariffPlan,
    TariffState,
)
from freehold.wire_power import (
    Advice,
    CalibrationResult,
    CalibrationState,
    Capacity,
    LimitState,
    LivePower,
    Meters,
    Plug,
    PlugTrial,
    PowerCurve,
    PowerSpan,
)

NOW = datetime.datetime(2026, 11, 24, 9, tzinfo=datetime.UTC).timestamp()


class FakeCosts:
    """The costs part of a server in memory."""

    def __init__(
        self,
        enter: Callable[..., Awaitable[None]],
        push: Callable[[Changed], object],
        fail: Callable[[str, AppError], None],
    ) -> None:
        self._enter = enter
        self._push = push
        self._fail = fail
        self.now = NOW
        self.requests: list[RequestEntry] = []
        self.idle: list[IdleEntry] = []
        self.stored = CostsSettings()
        self.plan: TariffPlan | None = None
        self.plan_since = 0.0
        self.series: Series | None = None
        self.price: Decimal | None = None
        self.currency = "USD"
        self.live = LivePower(level="estimate", error_share=0.0)
        self.curves: dict[str, PowerCurve] = {}
        self.counted_meters = Meters(counted=(), level="estimate")
        self.plugs: dict[str, str] = {}
        self.refusals: dict[str, Callable[[Plug], AppError]] = {}
        self.calibrating = CalibrationState()
        self.served = Capacity(sentence="No model is loaded. Load one to see.")
        self.sweep = LimitState(problem="There is no NVIDIA GPU here.")
        self.told_advice = Advice(sentences=(), level="estimate", currency="USD")
        self.own_prices: Path | None = None

    def fail_next(self, method: str, error: AppError) -> None:
        """Make the next call of `method` raise `error`."""
        if not callable(getattr(self, method, None)):
            raise AttributeError(f"CostsClient has no method {method!r}")
        self._fail(f"costs.{method}", error)

    async def own_or_rent(self, question: OwnOrRent) -> OwnOrRentAnswer:
        await self._enter("costs.own_or_rent", question=question)
        return own_or_rent(question)

    async def prices(self) -> PriceList:
        await self._enter("costs.prices")
        prices = load_prices(resources() / "prices.toml", self.own_prices)
        return price_list(prices, self._today())

    async def copy_prices(self) -> str:
        await self._enter("costs.copy_prices")
        return "/home/ada/.config/freehold/prices.toml"

    async def summary(self, month: str = "", by: By = "person") -> CostSummary:
        await self._enter("costs.summary", month=month, by=by)
        month = month or f"{self._today():%Y-%m}"
        start, end = month_bounds(month, "UTC")
        requests = tuple(r for r in self.requests if start <= r.ended_at < end)
        idle = tuple(i for i in self.idle if start <= i.end_at < end)
        own, currency = self.stored, self._tariff_state().currency
        found = in_one_currency(
            requests, idle, self._stays(), (start, end), currency, rates_of(own)
        )
        rolled = summarise(
            found.requests, found.idle, by, sharing=own.standby, charges=found.charges
        )
        carbon = choose_carbon(load_prices(resources() / "prices.toml", self.own_prices), own)
        return summary_answer(rolled, month, by, currency, levels_of(requests, idle), carbon)

    async def payback(self) -> Payback:
        await self._enter("costs.payback")
        prices = load_prices(resources() / "prices.toml")
        elsewhere = choose_elsewhere(prices, self.stored)
        currency, rates = self._tariff_state().currency, rates_of(self.stored)
        requests, _ = convert_lines(self.requests, "USD", rates, currency)
        idle, _ = convert_lines(self.idle, "USD", rates, currency)
        charges = charges_ever(requests, idle, self._stays(), "UTC", "USD", rates)
        found = payback(requests, idle, self.stored.capital, elsewhere, self.now, charges)
        return msgspec.structs.replace(found, rate_note=rate_note(self.stored, currency))

    def _stays(self) -> tuple[TariffStay, ...]:
        if self.plan is None:
            return ()
        return (TariffStay(self.plan_since, check_plan(self.plan, self.series)),)

    async def statement(self, month: str, form: str) -> bytes:
        await self._enter("costs.statement", month=month, form=form)
        month_bounds(month or "2026-11", "UTC")
        if form == "pdf":
            return b"%PDF-1.4 a statement"
        return b"\xef\xbb\xbf" + write_csv(self.requests, self.idle).encode()

    async def power(self) -> LivePower:
        await self._enter("costs.power")
        return self.live

    async def history(self, span: PowerSpan) -> PowerCurve:
        await self._enter("costs.history", span=span)
        empty = PowerCurve(
            span=span, span_s=SPAN_S[span], point_s=POINT_S[span], parts=(), points=()
        )
        return self.curves.get(span, empty)

    async def meters(self) -> Meters:
        await self._enter("costs.meters")
        return self._meters()

    async def set_plug(self, plug: Plug | PlugTrial | None) -> Meters:
        await self._enter("costs.set_plug", plug=plug)
        kept = None
        if plug is not None:
            kept = Plug(
                kind=plug.kind, host=plug.host, user=plug.user, fingerprint=plug.fingerprint
            )
            check_costs(CostsSettings(plug=kept))
            if kept.kind in self.refusals:
                raise self.refusals[kept.kind](kept)
            if self.plugs.get(plug.host) != plug.kind:
                raise AppError(
                    "network_failed",
                    f"{plug.host} does not answer as a {plug.kind} plug with a power meter does.",
                    "Check the address.",
                    retryable=True,
                )
        self.stored = msgspec.structs.replace(self.stored, plug=kept)
        self._push(Changed(topic="costs"))
        return self._meters()

    def _meters(self) -> Meters:
        own = self.stored
        needs = "" if own.plug else "A calibration needs a plug or a management board."
        return msgspec.structs.replace(
            self.counted_meters,
            plug=own.plug,
            calibration=own.calibration,
            cannot_calibrate=needs,
        )

    async def calibration(self) -> CalibrationState:
        await self._enter("costs.calibration")
        return self.calibrating

    async def calibrate(self) -> CalibrationState:
        await self._enter("costs.calibrate")
        if self.stored.plug is None:
            raise AppError("conflict", "A calibration needs a plug.", "Set one first.")
        if self.calibrating.phase not in ("rest", "load"):
            self.calibrating = CalibrationState(phase="rest", seconds_left=600.0)
        return self.calibrating

    async def cancel_calibration(self) -> CalibrationState:
        await self._enter("costs.cancel_calibration")
        if self.calibrating.phase in ("rest", "load"):
            self.calibrating = CalibrationState(phase="cancelled")
        return self.calibrating

    def end_calibration(self, result: CalibrationResult) -> None:
        """End a calibration as it does after ten minutes."""
        self.calibrating = CalibrationState(phase="done", share=1.0, result=result)
        self.stored = msgspec.structs.replace(self.stored, calibration=result)
        self._push(Changed(topic="costs"))

    async def forget_calibration(self) -> Meters:
        await self._enter("costs.forget_calibration")
        self.stored = msgspec.structs.replace(self.stored, calibration=None)
        self._push(Changed(topic="costs"))
        return self._meters()

    async def capacity(self) -> Capacity:
        await self._enter("costs.capacity")
        return self.served

    async def limits(self) -> LimitState:
        await self._enter("costs.limits")
        return self.sweep

    async def measure_limit(self) -> LimitState:
        await self._enter("costs.measure_limit")
        if self.sweep.limit_watts is None:
            raise AppError("not_supported", "There is no GPU here.", "Use another machine.")
        self.sweep = msgspec.structs.replace(self.sweep, measuring=True, seconds_left=60.0)
        return self.sweep

    async def cancel_limit(self) -> LimitState:
        await self._enter("costs.cancel_limit")
        self.sweep = msgspec.structs.replace(self.sweep, measuring=False, seconds_left=0.0)
        return self.sweep

    async def forget_limits(self) -> LimitState:
        await self._enter("costs.forget_limits")
        self.sweep = msgspec.structs.replace(self.sweep, points=(), best=None, sentence="")
        return self.sweep

    async def advice(self) -> Advice:
        await self._enter("costs.advice")
        return self.told_advice

    async def tariff(self) -> TariffState:
        await self._enter("costs.tariff")
        return self._tariff_state()

    async def save_tariff(self, plan: TariffPlan | None) -> TariffState:
        await self._enter("costs.save_tariff", plan=plan)
        self.plan_since = self.now
        self.plan = plan_of(check_plan(plan, self.series)) if plan is not None else None
        self._push(Changed(topic="costs"))
        return self._tariff_state()

    async def import_prices(self, wanted: SeriesImport) -> SeriesState:
        await self._enter("costs.import_prices", wanted=wanted)
        self.series = parse_series(wanted.text, wanted.zone, wanted.unit)
        self._push(Changed(topic="costs"))
        return series_state(self.series)

    async def settings(self) -> CostsSettings:
        await self._enter("costs.settings")
        return self.stored

    async def save_settings(self, settings: CostsSettings) -> CostsSettings:
        await self._enter("costs.save_settings", settings=settings)
        check_costs(settings)
        self.stored = msgspec.structs.replace(
            settings, plug=self.stored.plug, calibration=self.stored.calibration
        )
        self._push(Changed(topic="costs"))
        return self.stored

    def _tariff_state(self) -> TariffState:
        if self.plan is not None:
            when = datetime.datetime.fromtimestamp(self.now, datetime.UTC)
            tariff = check_plan(self.plan, self.series)
            price = price_at(tariff, when) * (1 + tariff.tax_rate)
            return TariffState(
                source="plan",
                currency=self.plan.currency,
                zone=self.plan.zone,
                price_now=price,
                plan=self.plan,
                series=series_state(self.series) if self.series else None,
            )
        source = "none" if self.price is None else "price"
        return TariffState(
            source=source,  # type: ignore[arg-type]
            currency=self.currency,
            zone="UTC",
            price_now=self.price,
            series=series_state(self.series) if self.series else None,
        )

    def _today(self) -> datetime.date:
        return datetime.datetime.fromtimestamp(self.now, datetime.UTC).date()
