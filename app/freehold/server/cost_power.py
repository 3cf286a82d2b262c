"""Power as the Costs page shows it: now, over time, by which meters, and what follows from it."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

import httpx
import msgspec

from freehold.errors import AppError
from freehold.ledger.money import round_money
from freehold.ledger.tariffs import Tariff
from freehold.power.history import POINT_S, SPAN_S, Point
from freehold.power.plugs import PlugSource
from freehold.power.sampler import Sample
from freehold.power.sources import RaplAccess, Source, find_rapl
from freehold.server.cost_desk import CostDesk
from freehold.server.metering import Metering
from freehold.wire_costs import (
    Advice,
    LivePower,
    Meters,
    MeterState,
    Plug,
    PowerCurve,
    PowerPart,
    PowerPoint,
    PowerSpan,
    PricedHours,
)

RECENT_POINTS: Final = 10
HOURS_PER_MONTH: Final = Decimal(730)
TINY_MONEY: Final = Decimal("0.0001")


class PowerDesk:
    """Tells what the meters say; changes which plug is read."""

    def __init__(
        self,
        metering: Metering,
        desk: CostDesk,
        machine_sources: Sequence[Source],
        find_counters: Callable[[], RaplAccess] = find_rapl,
    ) -> None:
        self._metering = metering
        self._desk = desk
        self._machine_sources = tuple(machine_sources)
        self._find_counters = find_counters
        self._http = httpx.Client(trust_env=False)

    # --- meters --------------------------------------------------------------------------

    def with_plug(self) -> tuple[Source, ...]:
        """Return the machine's meters and the plug that is set."""
        plug = self._desk.own.current.plug
        if plug is None:
            return self._machine_sources
        return (PlugSource(plug.kind, plug.host, self._http), *self._machine_sources)

    async def set_plug(self, plug: Plug | None) -> Meters:
        """Read the machine by a plug from now on, or no longer; a plug is tried first.

        Raises: AppError `invalid_request` or `network_failed` when the plug gives no power.
        """
        if plug is not None:
            await asyncio.to_thread(self._try, plug)
        own = self._desk.own
        await asyncio.to_thread(own.save, msgspec.structs.replace(own.current, plug=plug))
        await self._metering.use_sources(self.with_plug())
        return await asyncio.to_thread(self.meters)

    def _try(self, plug: Plug) -> None:
        source = PlugSource(plug.kind, plug.host, self._http)
        reading = source.read()
        if reading.watts is None:
            raise AppError(
                "network_failed",
                f"{plug.host} does not answer as a {plug.kind} plug with a power meter does.",
                "Check the address, the kind and that this machine and the plug share a network.",
                retryable=True,
                detail={"param": "host"},
            )

    def meters(self) -> Meters:
        """Return the meters counted together. Blocks on the disk."""
        access = self._find_counters()
        return Meters(
            counted=tuple(
                MeterState(
                    source=s.meter.source, level=s.meter.level, error_share=s.meter.error_share
                )
                for s in self._metering.sources
            ),
            level=self._metering.level,
            plug=self._desk.own.current.plug,
            unreadable=tuple(zone.name for zone in access.denied),
            udev_rule=access.udev_rule if access.denied else "",
        )

    def close(self) -> None:
        """Close the connection to the plug."""
        self._http.close()

    # --- figures -------------------------------------------------------------------------

    def live(self) -> LivePower:
        """Return what the machine draws now."""
        sample = self._metering.latest
        if sample is None:
            return LivePower(
                level=self._metering.level, error_share=0.0, currency=self._desk.currency
            )
        watts = sample.watts if sample.complete else None
        tokens_per_s, per_token = _recent(self._metering.history.points("minute"))
        price = self._desk.energy_price()
        return LivePower(
            level=sample.level,
            error_share=_error(sample),
            parts=tuple(
                PowerPart(
                    source=c.meter.source,
                    level=c.meter.level,
                    error_share=c.meter.error_share,
                    watts=c.watts,
                    reason=c.reason,
                )
                for c in sample.components
            ),
            watts=watts,
            tokens_per_s=tokens_per_s,
            joules_per_token=per_token,
            money_per_hour=_per_hour(watts, price),
            currency=self._desk.currency,
        )

    def curve(self, span: PowerSpan) -> PowerCurve:
        """Return a span's points."""
        return PowerCurve(
            span=span,
            span_s=SPAN_S[span],
            point_s=POINT_S[span],
            parts=tuple(source.meter.source for source in self._metering.sources),
            points=tuple(
                PowerPoint(at=p.at, watts=p.watts, tokens_per_s=p.tokens_per_s)
                for p in self._metering.history.points(span)
            ),
        )

    def advice(self) -> Advice:
        """Return what could be saved, with figures. Blocks on the disk."""
        rest = self._metering.rest
        loaded, empty = rest.loaded_watts, rest.empty_watts
        price = self._desk.energy_price()
        currency = self._desk.currency
        idle = loaded if loaded is not None else empty
        hourly = _per_hour(idle, price)
        monthly = None if hourly is None else round_money(hourly * HOURS_PER_MONTH)
        saves = None
        if loaded is not None and empty is not None and price is not None:
            watts = Decimal(str(round(max(0.0, loaded - empty), 1)))
            saves = round_money(watts / 1000 * price * HOURS_PER_MONTH)
        tariff = self._desk.tariff.current
        hours = priced_hours(tariff, self._desk.now()) if tariff is not None else ()
        blind = self._metering.level == "estimate"
        return Advice(
            sentences=(
                *_rest_sentences(loaded, empty, monthly, saves, currency, blind=blind),
                *_hour_sentences(hours, currency),
            ),
            level=self._metering.level,
            currency=currency,
            idle_loaded_watts=loaded,
            idle_empty_watts=empty,
            idle_per_month=monthly,
            unloading_saves_per_month=saves,
            hours=hours,
        )


def priced_hours(tariff: Tariff, now: float) -> tuple[PricedHours, ...]:
    """Return this month's prices by time of day, the cheapest first; nothing if there is one."""
    month = datetime.datetime.fromtimestamp(now, ZoneInfo(tariff.zone)).month
    found = [p for p in tariff.periods if month in p.months and "workday" in p.days]
    if len({p.price for p in found}) < 2:
        return ()
    return tuple(
        PricedHours(
            days=_days(p.days),
            start=f"{p.start:%H:%M}",
            end=f"{p.end:%H:%M}",
            price=p.price * (1 + tariff.tax_rate),
        )
        for p in sorted(found, key=lambda p: p.price)
    )


def _days(days: Sequence[str]) -> str:
    return "every day" if len(days) == 3 else " and ".join(f"{day}s" for day in days)


def _error(sample: Sample) -> float:
    """Return the stated error of the sum: each part's own, weighed by its power."""
    parts = [(c.watts or 0.0, c.meter.error_share) for c in sample.components]
    total = sum(watts for watts, _ in parts)
    if total <= 0:
        return max((error for _, error in parts), default=0.0)
    return round(sum(watts * error for watts, error in parts) / total, 4)


def _recent(points: Sequence[Point]) -> tuple[float, float | None]:
    """Return tokens a second and joules per token over the last whole seconds."""
    recent = points[-RECENT_POINTS - 1 : -1] or points[-1:]
    if not recent:
        return 0.0, None
    tokens = sum(point.tokens_per_s for point in recent)
    known = all(watts is not None for point in recent for watts in point.watts)
    joules = sum(watts or 0.0 for point in recent for watts in point.watts)
    per_token = joules / tokens if tokens > 0 and known else None
    return tokens / len(recent), per_token


def _per_hour(watts: float | None, price: Decimal | None) -> Decimal | None:
    if watts is None or price is None:
        return None
    return round_money(Decimal(str(round(watts, 3))) / 1000 * price, TINY_MONEY)


def _rest_sentences(
    loaded: float | None,
    empty: float | None,
    monthly: Decimal | None,
    saves: Decimal | None,
    currency: str,
    *,
    blind: bool,
) -> tuple[str, ...]:
    if loaded is None and empty is None:
        return ("The machine has not rested long enough yet to say what resting costs.",)
    watts = loaded if loaded is not None else empty
    state = "with a model loaded" if loaded is not None else "without a model"
    cost = f", {monthly} {currency} a month" if monthly is not None else ""
    first = f"At rest {state} it draws {watts:.0f} W{cost}."
    if blind:
        return (first, "No meter sees what a loaded model draws; an estimate cannot tell.")
    if loaded is None:
        return (first,)
    if empty is None:
        return (first, "It has not rested without a model since the server started.")
    if loaded - empty < 1:
        return (first, "Unloading the model would save next to nothing.")
    worth = f", {saves} {currency} a month if it were always so" if saves is not None else ""
    return (first, f"Unloading the model saves {loaded - empty:.0f} W{worth}.")


def _hour_sentences(hours: Sequence[PricedHours], currency: str) -> tuple[str, ...]:
    if not hours:
        return ()
    best, worst = hours[0], hours[-1]
    return (
        f"Power is cheapest from {best.start} to {best.end} ({best.price} {currency} per kWh) and "
        f"dearest from {worst.start} to {worst.end} ({worst.price}).",
    )
