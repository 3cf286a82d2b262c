"""How money, energy and meters are worded on the Costs page and below answers."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from babel.numbers import format_currency, get_currency_symbol

from freehold.wire import ReplyStats

LEVELS: Final = {
    "wall": "measured at the wall",
    "calculated": "calculated for the whole machine",
    "gpu+cpu": "measured at GPU and processor",
    "gpu": "measured at the GPU",
    "estimate": "estimate",
}
LOCALE: Final = "en"


def money(amount: Decimal, currency: str = "USD", *, cents: bool = True) -> str:
    """Return an amount as `$1,234.56`, or `$1,235` without cents."""
    shown = amount if cents else amount.quantize(Decimal(1))
    text = str(format_currency(shown, currency, locale=LOCALE))
    return text if cents else text.removesuffix(".00")


def small_money(amount: Decimal, currency: str = "USD") -> str:
    """Return the cost of one answer, in cents where it is less than one: `0.01 ¢`."""
    if amount == 0 or amount >= Decimal("0.01"):
        return money(amount, currency)
    if currency in ("USD", "EUR"):
        cents = amount * 100
        return f"{cents:.2f} ¢" if cents >= Decimal("0.01") else "< 0.01 ¢"
    return f"{get_currency_symbol(currency, locale=LOCALE)}{amount:.4f}"


def energy(joules: Decimal | float) -> str:
    """Return energy as `0.4 Wh` or `12.3 kWh`."""
    wh = float(joules) / 3600
    if wh >= 1000:
        return f"{wh / 1000:,.1f} kWh"
    if wh >= 100:
        return f"{wh:.0f} Wh"
    return f"{wh:.1f} Wh" if wh >= 0.1 else f"{wh:.3f} Wh"


def watts(value: float | None) -> str:
    """Return power as `431 W`, `2.1 W`; a dash where it is not known."""
    if value is None:
        return "–"
    return f"{value:.1f} W" if value < 10 else f"{value:,.0f} W"


def level_text(level: str, error_share: float = 0.0) -> str:
    """Return how a figure came about: `measured at the wall ± 2 %`."""
    words = LEVELS.get(level, level)
    return f"{words} ± {error_share * 100:.0f} %" if error_share else words


def levels_text(levels: Iterable[str]) -> str:
    """Return the levels of a month's figures in words."""
    found = [LEVELS.get(level, level) for level in levels]
    return ", ".join(found) if found else "nothing measured yet"


def short_meter(source: str) -> str:
    """Return a meter's name without what is in brackets."""
    return source.split(" (")[0]


def answer_cost(stats: ReplyStats) -> str:
    """Return what an answer used, and cost where a price is known: `0.4 Wh · 0.01 ¢ (estimate)`."""
    words = energy(stats.energy_joules or 0.0)
    if stats.energy_money:
        words += f" · {small_money(Decimal(stats.energy_money), stats.energy_currency or 'USD')}"
    return f"{words} (estimate)" if stats.energy_level == "estimate" else words
