"""Prices that change by the hour, from a supplier's or an exchange's CSV file.

Every row is a start and a price. Times with an offset are taken as they are; others are local
times of the tariff's zone, where the hour that comes twice in autumn is told by the order of rows.
Holes and overlaps are named and refused: a guess would be somebody's money.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from freehold.errors import AppError
from freehold.ledger.tariffs import Series

Unit = Literal["auto", "kWh", "MWh", "cents"]
FACTORS: Final = {"kWh": Decimal(1), "MWh": Decimal("0.001"), "cents": Decimal("0.01")}
MAX_ROWS: Final = 200_000
MAX_PRICE: Final = Decimal(1000)
LONGEST_STEP: Final = timedelta(days=1)
# A longer step is another resolution only if it holds for so long; otherwise it is a hole.
SETTLED: Final = timedelta(hours=23)
_TIME_WORDS: Final = ("start", "time", "date", "from", "mtu", "zeit", "datum", "von", "hour")
_PRICE_WORDS: Final = ("price", "preis", "value", "rate", "cost", "/kwh", "/mwh")
_OTHER_FORMS: Final = ("%d.%m.%Y %H:%M", "%d/%m/%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%Y/%m/%d %H:%M")


@dataclass(frozen=True, slots=True)
class _Columns:
    start: int
    price: int
    unit: Unit


def parse_series(text: str, zone: str, unit: Unit = "auto") -> Series:
    """Return the prices of a CSV file, per kWh.

    unit: what the file's prices are for; "auto" takes it from the heading, else per kWh.
    Raises: AppError `invalid_request` naming the line, the hole or the overlap.
    """
    rows = _rows(text)
    columns, body = _columns(rows, unit)
    if len(body) < 2:
        raise _refused("There are fewer than two prices in the file.", "Choose the file again.")
    local = _zone(zone)
    starts: list[datetime] = []
    prices: list[Decimal] = []
    for line, cells in body:
        if len(cells) <= max(columns.start, columns.price):
            raise _refused(f"Line {line} has too few columns.", "Mend that line.")
        before = starts[-1] if starts else None
        starts.append(_moment(cells[columns.start], local, before, line))
        prices.append(_price(cells[columns.price], FACTORS[_known(columns.unit)], line))
    if len(starts) > 1 and starts[0] > starts[-1]:
        starts.reverse()
        prices.reverse()
    return Series(tuple(starts), tuple(prices), _checked_end(starts, local))


def series_text(series: Series) -> str:
    """Return a series as the file that keeps it: UTC times, the last without a price."""
    lines = ["start,price_per_kwh"]
    for start, price in zip(series.starts, series.prices, strict=True):
        lines.append(f"{start.astimezone(UTC).isoformat()},{price}")
    lines.append(f"{series.ends.astimezone(UTC).isoformat()},")
    return "\n".join(lines) + "\n"


def read_series(path: Path) -> Series:
    """Read the file that keeps a series.

    Raises: AppError `invalid_request` when it is missing or damaged.
    """
    try:
        lines = path.read_text("utf-8").splitlines()[1:]
        pairs = [line.split(",") for line in lines]
        moments = [datetime.fromisoformat(start) for start, _ in pairs]
        prices = tuple(Decimal(price) for _, price in pairs[:-1])
        if not prices or any(m.tzinfo is None for m in moments) or pairs[-1][1]:
            raise ValueError("it is not whole")
        if any(not price.is_finite() for price in prices):
            raise ValueError("a price is no number")
    except (OSError, UnicodeDecodeError, ValueError, InvalidOperation) as error:
        raise _refused(
            f"The prices of the tariff cannot be read ({path.name}).", "Import the file again."
        ) from error
    return Series(tuple(moments[:-1]), prices, moments[-1])


# --- rows and columns ------------------------------------------------------------------------


def _rows(text: str) -> list[tuple[int, list[str]]]:
    text = text.removeprefix("\ufeff")
    heading = text.split("\n", 1)[0]
    mark = max(";\t,", key=heading.count)
    reader = csv.reader(io.StringIO(text), delimiter=mark)
    try:
        rows = [
            (reader.line_num, [cell.strip() for cell in cells])
            for cells in itertools.islice(reader, MAX_ROWS + 2)
            if any(cell.strip() for cell in cells)
        ]
    except csv.Error as error:
        raise _refused(f"The file is not CSV ({error}).", "Export it as CSV.") from error
    if len(rows) > MAX_ROWS:
        raise _refused(f"The file has more than {MAX_ROWS:,} rows.", "Choose a shorter time.")
    return rows


def _columns(
    rows: list[tuple[int, list[str]]], unit: Unit
) -> tuple[_Columns, list[tuple[int, list[str]]]]:
    """Return which columns count, and the rows below the heading."""
    if not rows:
        raise _refused("The file is empty.", "Choose the file again.")
    heading = [cell.lower() for cell in rows[0][1]]
    if any(re.match(r"\d", cell) for cell in heading):
        if len(heading) < 2:
            raise _refused("The file has one column.", "It needs a time and a price.")
        return _Columns(0, 1, unit), rows
    start = next((i for i, c in enumerate(heading) if any(w in c for w in _TIME_WORDS)), None)
    price = next(
        (i for i, c in enumerate(heading) if i != start and any(w in c for w in _PRICE_WORDS)), None
    )
    if start is None or price is None:
        raise _refused(
            "The heading names no column of times and prices.",
            'Name the columns "start" and "price".',
        )
    return _Columns(start, price, unit if unit != "auto" else _unit_of(heading[price])), rows[1:]


def _unit_of(heading: str) -> Unit:
    if "mwh" in heading:
        return "MWh"
    return "cents" if re.search(r"\b(ct|cent|cents|c|p|pence)\b|¢", heading) else "kWh"


def _known(unit: Unit) -> str:
    return "kWh" if unit == "auto" else unit


# --- cells -----------------------------------------------------------------------------------


def _moment(text: str, zone: ZoneInfo, before: datetime | None, line: int) -> datetime:
    # "00:00 - 01:00" of some exchanges: the first half counts.
    found = _parsed(re.split(r"\s+(?:-|–)\s+", text)[0].strip())
    if found is None:
        raise _refused(
            f"{text[:40]!r} in line {line} is not a time.", "Write times like 2026-11-24 13:00."
        )
    if found.tzinfo is not None:
        return found.astimezone(UTC)
    first = found.replace(tzinfo=zone, fold=0)
    if first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != found:
        raise _refused(
            f"{text[:40]} in line {line} does not exist in {zone.key}: the clock skips it.",
            "Remove that row, or write times with their offset.",
        )
    second = found.replace(tzinfo=zone, fold=1)
    early, late = first.astimezone(UTC), second.astimezone(UTC)
    # The hour that comes twice: the second one follows the first.
    return late if early != late and before is not None and early <= before < late else early


def _parsed(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    for form in _OTHER_FORMS:
        try:
            return datetime.strptime(text, form)
        except ValueError:
            continue
    return None


def _price(text: str, factor: Decimal, line: int) -> Decimal:
    plain = text.replace("\u00a0", "").replace(" ", "")
    if "," in plain and "." not in plain:
        plain = plain.replace(",", ".")
    try:
        price = Decimal(plain) * factor
    except InvalidOperation as error:
        raise _refused(f"{text[:40]!r} in line {line} is not a price.", "Mend it.") from error
    # Real-time prices may be negative: then using energy earns money.
    if not price.is_finite() or abs(price) > MAX_PRICE:
        raise _refused(f"The price {text[:40]} in line {line} cannot be.", "Check its unit.")
    return price


# --- holes and overlaps ----------------------------------------------------------------------


def _checked_end(starts: Sequence[datetime], zone: ZoneInfo) -> datetime:
    """Return where the last price ends.

    Raises: AppError `invalid_request` naming the first hole or overlap.
    """
    steps = [later - earlier for earlier, later in itertools.pairwise(starts)]
    for at, step in enumerate(steps):
        if step <= timedelta(0):
            raise _refused(
                f"There are two prices for {_local(starts[at + 1], zone)}.",
                "Remove the double row, or write times with their offset.",
            )
    runs = [
        (step, list(group))
        for step, group in itertools.groupby(range(len(steps)), steps.__getitem__)
    ]
    shortest = min(steps)
    for step, places in runs:
        if step > LONGEST_STEP or (step > shortest and step * len(places) < SETTLED):
            start = starts[places[0]]
            expected = _usual_step(steps, places[0], shortest)
            raise _refused(
                f"There is no price from {_local(start + expected, zone)} to "
                f"{_local(start + step, zone)}.",
                "Fill the hole, or import a file without one.",
            )
    return starts[-1] + steps[-1]


def _usual_step(steps: Sequence[timedelta], place: int, shortest: timedelta) -> timedelta:
    """Return the step that holds around a hole."""
    beside = [steps[i] for i in (place - 1, place + 1) if 0 <= i < len(steps)]
    smaller = [step for step in beside if step < steps[place]]
    return max(smaller, default=shortest)


def _local(moment: datetime, zone: ZoneInfo) -> str:
    return moment.astimezone(zone).strftime("%d %b %Y %H:%M")


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise _refused(
            f"The time zone {name!r} is not known.", "Use a name like Europe/Berlin."
        ) from error


def _refused(message: str, hint: str) -> AppError:
    return AppError("invalid_request", message, hint)
