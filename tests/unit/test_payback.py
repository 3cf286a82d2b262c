"""Payback so far, from real lines: growing, stuck, never, done, and nothing at all."""

from __future__ import annotations

import datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from freehold.ledger.entries import IdleEntry, RequestEntry
from freehold.ledger.payback import Elsewhere, payback
from freehold.ledger.prices import ApiPrice

DAY = 86_400.0
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC).timestamp()
K2 = ApiPrice(
    "a list", datetime.date(2026, 7, 2), "Kimi K2.6", Decimal("0.95"), Decimal("0.16"), Decimal(4),
    True,
)  # fmt: skip
API = Elsewhere("Kimi K2.6 over an API", K2)


def day_of(number: int, written: int = 1_000_000, money: str = "0.10") -> RequestEntry:
    return RequestEntry(
        f"r{number}", START + number * DAY + 1, "Ada", "k", "m", 2_000_000, 1_500_000, written, 9.0,
        10**9, "gpu", "flat", Decimal("0.3"), Decimal(money),
    )  # fmt: skip


def idle(number: int, money: str) -> IdleEntry:
    start = START + number * DAY
    return IdleEntry(start, start + DAY, 10**9, "gpu", "flat", Decimal("0.3"), Decimal(money))


def test_cached_tokens_are_priced_as_cached() -> None:
    found = payback([day_of(0)], [], Decimal(1000), API, START + DAY)
    assert found.elsewhere == Decimal("4.72")  # 0.5 M at 0.95, 1.5 M at 0.16, 1 M at 4
    assert found.tokens == 3_000_000


def test_a_date_follows_from_the_rate() -> None:
    lines = [day_of(n) for n in range(100)]
    found = payback(lines, [idle(0, "0.00")], Decimal(1000), API, START + 100 * DAY)
    assert found.share is not None
    assert round(found.share, 3) == Decimal("0.462")  # 100 days of 4.715 less 0.10
    assert found.pays_off_on.startswith("2026-08")
    assert "paid off in August 2026" in found.sentence


def test_it_says_when_it_only_costs() -> None:
    found = payback([day_of(0, 10)], [idle(0, "40")], Decimal(1000), API, START + 30 * DAY)
    assert found.sentence.startswith("So far it costs")
    assert found.pays_off_on == ""
    assert found.share is not None
    assert found.share < 0


def test_a_week_is_needed_for_a_date() -> None:
    found = payback([day_of(0)], [], Decimal(1000), API, START + 2 * DAY)
    assert found.pays_off_on == ""
    assert "after a week" in found.sentence


def test_all_paid_back() -> None:
    found = payback([day_of(n) for n in range(30)], [], Decimal(20), API, START + 30 * DAY)
    assert found.sentence.startswith("Paid back")


def test_nothing_yet() -> None:
    found = payback([], [], Decimal(1000), API, START)
    assert (found.tokens, found.since) == (0, "")
    assert "Nothing has been answered yet" in found.sentence


def test_seats_are_counted_by_time() -> None:
    seats = Elsewhere("5 seats", seats_per_month=Decimal(1000))
    found = payback([day_of(0)], [], Decimal(25000), seats, START + 1 + 30.4375 * DAY)
    assert found.elsewhere == 1000


@given(
    now=st.floats(START - 4e8, START + 4e9),
    capital=st.decimals(0, 10**6, places=2),
    lines=st.integers(0, 20),
)
def test_no_clock_makes_it_fall_over(now: float, capital: Decimal, lines: int) -> None:
    found = payback([day_of(n) for n in range(lines)], [], capital, API, now)
    assert found.sentence
    assert found.elsewhere >= 0
