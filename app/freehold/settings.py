"""What a person may change, kept in settings.toml.

A damaged file never stops the server: it is set aside beside itself and the defaults are used.
"""

from __future__ import annotations

import logging
import threading
import time
import tomllib
from decimal import Decimal, InvalidOperation
from pathlib import Path

import msgspec
import tomli_w
from babel.numbers import is_currency

from freehold.errors import AppError
from freehold.secrets import write_private
from freehold.wire import Settings

log = logging.getLogger(__name__)

MAX_PRICE_PER_KWH = 1000
MAX_IDLE_MINUTES = 7 * 24 * 60
MAX_DOWNLOAD_MB_PER_S = 100_000


class SettingsFile:
    """The settings as they are now, and the file that keeps them.

    Attributes:
        problem: why defaults are used instead of the file, until the settings are saved again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self.problem: AppError | None = None
        self._current = self._read()

    @property
    def current(self) -> Settings:
        """Return the settings in force."""
        return self._current

    def save(self, settings: Settings) -> Settings:
        """Check and store `settings`; return them as stored.

        Raises: AppError `invalid_request` naming the field, `no_permission` or `disk_full`.
        """
        check_settings(settings)
        with self._lock:
            text = tomli_w.dumps(msgspec.to_builtins(settings))
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_private(self._path, text)
            self._current = settings
            self.problem = None
        return settings

    def _read(self) -> Settings:
        try:
            text = self._path.read_text("utf-8")
        except FileNotFoundError:
            return Settings()
        except (OSError, UnicodeDecodeError) as error:
            return self._use_defaults(str(error))
        try:
            settings = msgspec.convert(tomllib.loads(text), Settings)
            check_settings(settings)
        except (tomllib.TOMLDecodeError, msgspec.ValidationError, AppError) as error:
            return self._use_defaults(str(error))
        return settings

    def _use_defaults(self, reason: str) -> Settings:
        kept = self._path.with_name(f"{self._path.name}.damaged-{int(time.time())}")
        try:
            self._path.rename(kept)
        except OSError:
            kept = self._path
        log.warning("settings could not be read, defaults are used; file kept as %s", kept.name)
        self.problem = AppError(
            "invalid_request",
            f"The settings could not be read ({reason}), so the defaults are used.",
            f"Your old file is kept as {kept}.",
            detail={"path": str(kept)},
        )
        return Settings()


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
        raise _out_of_bounds("default_system_prompt (characters)", 0, 100_000)


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
        f"The setting {name} is out of bounds.",
        f"Choose a value from {low:,} to {high:,}.",
        detail={"param": name},
    )
