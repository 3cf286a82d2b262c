"""Calendar months as people live them: from midnight to midnight of their own zone."""

from __future__ import annotations

import re
from datetime import datetime
from zoneinfo import ZoneInfo

from freehold.errors import AppError

MONTH = re.compile(r"^(\d{4})-(\d{2})$")


def month_bounds(month: str, zone: str) -> tuple[float, float]:
    """Return the first second of a month like `2026-11` and the next month's, in Unix time.

    Raises: AppError `invalid_request` for what is no month.
    """
    found = MONTH.fullmatch(month)
    if found is None or not 1 <= int(found[2]) <= 12 or not 1971 <= int(found[1]) <= 9998:
        raise AppError("invalid_request", f"{month!r} is not a month.", "Write it like 2026-11.")
    year, number = int(found[1]), int(found[2])
    local = ZoneInfo(zone)
    after = (year + 1, 1) if number == 12 else (year, number + 1)
    start = datetime(year, number, 1, tzinfo=local)
    return start.timestamp(), datetime(*after, 1, tzinfo=local).timestamp()


def month_of(at: float, zone: str) -> str:
    """Return the month a Unix time lies in."""
    return datetime.fromtimestamp(at, ZoneInfo(zone)).strftime("%Y-%m")
