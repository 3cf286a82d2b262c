"""What a person may change, kept in settings.toml."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path

from babel.numbers import is_currency

from freehold.errors import AppError
from freehold.toml_file import TomlFile
from freehold.wire import Settings

MAX_PRICE_PER_KWH = 1000
MAX_IDLE_MINUTES = 7 * 24 * 60
MAX_DOWNLOAD_MB_PER_S = 100_000
# As the window calls them.
TITLES = {
    "idle_unload_minutes": "Unload an idle model after",
    "port": "Port",
    "download_limit_mb_per_s": "Speed limit",
    "default_system_prompt": "Default system prompt",
}


class SettingsFile(TomlFile[Settings]):
    """The settings as they are now, and the file that keeps them."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            path,
            Settings,
            check_settings,
            "The settings could not be read ({reason}), so the defaults are used.",
        )


def check_settings(settings: Settings) -> None:
    """Raise AppError `invalid_request` for a value outside its bounds."""
    if not 0 <= settings.idle_unload_minutes <= MAX_IDLE_MINUTES:
        raise _out_of_bounds("idle_unload_minutes", 0, MAX_IDLE_MINUTES)
    if not 1 <= settings.port <= 65535:
        raise _out_of_bounds("port", 1, 65535)
    if not 0 <= settings.download_limit_mb_per_s <= MAX_DOWNLOAD_MB_PER_S:
        raise _out_of_bounds("download_limit_mb_per_s", 0, MAX_DOWNLOAD_MB_PER_S)
    _check_price(settings.price_per_kwh, settings.currency)
    if len(settings.default_system_prompt) > 100_000:
        raise _out_of_bounds("default_system_prompt", 0, 100_000)


def _check_price(price: str, currency: str) -> None:
    try:
        amount = Decimal(price or "0")
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or not 0 <= amount <= MAX_PRICE_PER_KWH:
        raise AppError(
            "invalid_request",
            f"A kilowatt-hour for {price!r} cannot be.",
            "Enter its price as your bill says it, like 0.32.",
            detail={"param": "price_per_kwh"},
        )
    if not is_currency(currency):
        raise AppError(
            "invalid_request",
            f"The currency {currency!r} is not known.",
            "Use a code of three letters, like EUR.",
            detail={"param": "currency"},
        )


def _out_of_bounds(name: str, low: int, high: int) -> AppError:
    return AppError(
        "invalid_request",
        f"The value for “{TITLES[name]}” is out of bounds.",
        f"Choose a value from {low:,} to {high:,}.",
        detail={"param": name},
    )
