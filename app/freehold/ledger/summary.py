"""The ledger rolled up by hour, day, month, person or model, equal to the cent.

Pure: lines in, rows out. Energy sums are whole microjoules. Rounded money is shared out so that
the rows a person sees add up to the total they see.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal
from zoneinfo import ZoneInfo

from freehold.ledger.charges import Charge, ChargeKind
from freehold.ledger.entries import IdleEntry, RequestEntry
from freehold.ledger.money import CENT, round_together, share_out
from freehold.power.shares import share_out_units

Grouping = Literal["hour", "day", "month", "person", "model"]
IdleSharing = Literal["own line", "by seat", "by use"]
STANDBY = "standby"
# The finest part of money the ledger stores, so that weights are whole numbers.
FINEST = Decimal("0.0000000001")


@dataclass(frozen=True, slots=True)
class Row:
    """One group's sums. `money` is without tax and rounded to the cent."""

    name: str
    requests: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    microjoules: int
    money: Decimal


@dataclass(frozen=True, slots=True)
class ChargeRow:
    """A line of the bill that belongs to no group; `money` is rounded to the cent."""

    kind: ChargeKind
    name: str
    money: Decimal


@dataclass(frozen=True, slots=True)
class Summary:
    """Rows in order of name (of time for hours, days, months), charges and the total.

    The money of rows and charges adds up to the total's, tax included, to the cent.
    """

    rows: tuple[Row, ...]
    total: Row
    charges: tuple[ChargeRow, ...] = ()


def summarise(
    requests: Sequence[RequestEntry],
    idle: Sequence[IdleEntry],
    by: Grouping,
    *,
    zone: str = "UTC",
    sharing: IdleSharing = "own line",
    seats: Sequence[str] = (),
    charges: Sequence[Charge] = (),
) -> Summary:
    """Roll lines up.

    zone: the local time that hours and days are cut in. sharing: what becomes of standby when
    grouping by person: a line of its own, equal parts for all `seats`, or parts by energy used.
    """
    name_of = _namer(by, ZoneInfo(zone))
    groups: dict[str, _Sums] = {}
    for entry in requests:
        groups.setdefault(name_of(entry), _Sums()).add_request(entry)
    standby = _Sums()
    for interval in idle:
        if by in ("hour", "day", "month"):
            moment = datetime.fromtimestamp(interval.start_at, ZoneInfo(zone))
            groups.setdefault(_time_name(by, moment), _Sums()).add_idle(interval)
        else:
            standby.add_idle(interval)
    if standby.microjoules or standby.money:
        _place_standby(groups, standby, by, sharing, seats)
    return _rounded(groups, charges)


@dataclass(slots=True)
class _Sums:
    requests: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    microjoules: int = 0
    money: Decimal = field(default_factory=Decimal)
    tax: Decimal = field(default_factory=Decimal)

    def add_request(self, entry: RequestEntry) -> None:
        self.requests += 1
        self.prompt_tokens += entry.prompt_tokens
        self.cached_tokens += entry.cached_tokens
        self.completion_tokens += entry.completion_tokens
        self._add_energy(entry)

    def add_idle(self, entry: IdleEntry) -> None:
        self._add_energy(entry)

    def _add_energy(self, entry: RequestEntry | IdleEntry) -> None:
        self.microjoules += entry.microjoules
        self.money += entry.money - entry.tax
        self.tax += entry.tax

    def row(self, name: str, money: Decimal) -> Row:
        return Row(
            name,
            self.requests,
            self.prompt_tokens,
            self.cached_tokens,
            self.completion_tokens,
            self.microjoules,
            money,
        )


def _namer(by: Grouping, zone: ZoneInfo) -> Callable[[RequestEntry], str]:
    if by == "person":
        return lambda entry: entry.person
    if by == "model":
        return lambda entry: entry.model_ref
    return lambda entry: _time_name(by, datetime.fromtimestamp(entry.ended_at, zone))


def _time_name(by: Grouping, moment: datetime) -> str:
    if by == "hour":
        # The offset keeps the two 02:00 hours of an autumn night apart.
        return moment.strftime("%Y-%m-%d %H:00 %z")
    return moment.strftime("%Y-%m-%d" if by == "day" else "%Y-%m")


def _place_standby(
    groups: dict[str, _Sums],
    standby: _Sums,
    by: Grouping,
    sharing: IdleSharing,
    seats: Sequence[str],
) -> None:
    names = sorted({*groups, *seats}) if sharing == "by seat" else sorted(groups)
    if by != "person" or sharing == "own line" or not names:
        groups[STANDBY] = standby
        return
    weights = [1] * len(names)
    if sharing == "by use":
        weights = [groups[name].microjoules for name in names]
    # All tax ends up in one sum, whoever brings it.
    groups.setdefault(names[0], _Sums()).tax += standby.tax
    energy = share_out_units(standby.microjoules, weights)
    money = share_out(standby.money.quantize(FINEST), weights, FINEST)
    for name, joules, amount in zip(names, energy, money, strict=True):
        group = groups.setdefault(name, _Sums())
        group.microjoules += joules
        group.money += amount


def _rounded(groups: dict[str, _Sums], charges: Sequence[Charge]) -> Summary:
    names = sorted(groups)
    total = _Sums()
    for group in groups.values():
        total.requests += group.requests
        total.prompt_tokens += group.prompt_tokens
        total.cached_tokens += group.cached_tokens
        total.completion_tokens += group.completion_tokens
        total.microjoules += group.microjoules
        total.tax += group.tax
    tax = total.tax + sum((charge.tax for charge in charges), Decimal(0))
    extra: list[tuple[ChargeKind, str, Decimal]] = [(c.kind, c.name, c.money) for c in charges]
    if tax:
        extra.append(("tax", "Tax", tax))
    parts = round_together([*(groups[name].money for name in names), *(e[2] for e in extra)], CENT)
    rows = tuple(
        groups[name].row(name, money)
        for name, money in zip(names, parts[: len(names)], strict=True)
    )
    lines = tuple(
        ChargeRow(kind, name, money)
        for (kind, name, _), money in zip(extra, parts[len(names) :], strict=True)
    )
    return Summary(rows, total.row("total", sum(parts, Decimal(0))), lines)
