"""What the ledger and the price list say, as the API carries it."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from decimal import Decimal

from freehold.ledger.entries import IdleEntry, RequestEntry
from freehold.ledger.exchange import DOLLARS, DatedRate, Rates
from freehold.ledger.payback import Elsewhere
from freehold.ledger.prices import Carbon, Dated, Prices
from freehold.ledger.summary import Row, Summary
from freehold.ledger.tariffs import MICROJOULES_PER_KWH, Series
from freehold.wire_costs import (
    By,
    ChargeLine,
    CostRow,
    CostsSettings,
    CostSummary,
    Priced,
    PriceList,
    SeriesState,
)


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


def choose_carbon(prices: Prices, own: CostsSettings) -> Carbon | None:
    """Return the chosen country's figure."""
    return next((c for c in prices.carbon if c.country == own.country), None)


def carbon_words(carbon: Carbon) -> str:
    """Return a country's figure with its source and date."""
    return (
        f"{carbon.country}, {carbon.kg_per_kwh} kg per kWh: {carbon.source}, "
        f"checked {carbon.checked_on.isoformat()}"
    )


def rates_of(own: CostsSettings) -> Rates:
    """Return the exchange rates a person entered."""
    return Rates(
        tuple(
            DatedRate(rate.currency, datetime.date.fromisoformat(rate.on), rate.dollars)
            for rate in own.rates
        )
    )


def rate_note(own: CostsSettings, currency: str) -> str:
    """Return how money in another currency than dollars was converted, "" for dollars."""
    if currency == DOLLARS:
        return ""
    known = sorted((r for r in own.rates if r.currency == currency), key=lambda rate: rate.on)
    if not known:
        return f"no exchange rate is set: 1 {currency} is counted as 1 dollar"
    newest = known[-1]
    older = f", and {len(known) - 1} older" if len(known) > 1 else ""
    return f"1 {currency} = {newest.dollars.normalize():f} dollars, as of {newest.on}{older}"


def missing_note(missing: Collection[str], currency: str) -> str:
    """Return which money could not be converted, "" for none."""
    if not missing:
        return ""
    names = " and ".join(sorted(missing))
    return (
        f"A part was paid in {names}; no exchange rate to {currency} is set, so it is counted one "
        "to one."
    )


def summary_answer(
    rolled: Summary,
    month: str,
    by: By,
    currency: str,
    levels: tuple[str, ...],
    carbon: Carbon | None = None,
    note: str = "",
) -> CostSummary:
    """Return a month's sums as the API carries them."""
    kwh = rolled.total.microjoules / MICROJOULES_PER_KWH
    return CostSummary(
        month=month,
        by=by,
        currency=currency,
        rows=tuple(_row(row) for row in rolled.rows),
        total=_row(rolled.total),
        levels=levels,
        charges=tuple(ChargeLine(kind=c.kind, name=c.name, money=c.money) for c in rolled.charges),
        carbon_kg=None if carbon is None else (kwh * carbon.kg_per_kwh).quantize(Decimal("0.001")),
        carbon_source="" if carbon is None else carbon_words(carbon),
        note=note,
    )


def levels_of(requests: tuple[RequestEntry, ...], idle: tuple[IdleEntry, ...]) -> tuple[str, ...]:
    """Return the meter levels that lines come from."""
    return tuple(sorted({*(line.level for line in requests), *(line.level for line in idle)}))


def series_state(series: Series) -> SeriesState:
    """Return what imported prices look like."""
    step_s = (series.ends - series.starts[-1]).total_seconds()
    mean = sum(series.prices, Decimal(0)) / len(series.prices)
    return SeriesState(
        start_at=series.starts[0].timestamp(),
        end_at=series.ends.timestamp(),
        count=len(series.prices),
        step_minutes=round(step_s / 60),
        lowest=min(series.prices),
        highest=max(series.prices),
        mean=mean.quantize(Decimal("0.0001")),
    )


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
                f"{s.note} Speed: {s.speed_of}.{serves_words(s.serves)}",
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


def serves_words(serves: tuple[tuple[int, int], ...]) -> str:
    """Return how many people a machine serves at which context, "" where it is not known."""
    if not serves:
        return ""
    words = [
        f"{people} {'person' if people == 1 else 'people'} at {context // 1024}k"
        for context, people in serves
    ]
    return f" Serves at once, as published: {', '.join(words)} of context."


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
