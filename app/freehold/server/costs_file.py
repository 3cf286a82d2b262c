"""What the person owns and holds it against, kept in costs.toml.

A damaged file never stops the server: it is set aside beside itself and the defaults are used.
"""

from __future__ import annotations

import logging
import threading
import time
import tomllib
from decimal import Decimal
from pathlib import Path

import msgspec
import tomli_w

from freehold.errors import AppError
from freehold.power.plugs import check_host
from freehold.secrets import write_private
from freehold.wire_costs import CostsSettings

log = logging.getLogger(__name__)

MAX_CAPITAL = Decimal("1e9")
MAX_SEATS = 100_000
MAX_RATE = Decimal(1_000_000)


class CostsFile:
    """The costs settings as they are now, and the file that keeps them.

    Attributes:
        problem: why defaults are used instead of the file, until it is saved again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self.problem: AppError | None = None
        self._current = self._read()

    @property
    def current(self) -> CostsSettings:
        """Return the settings in force."""
        return self._current

    def save(self, settings: CostsSettings) -> CostsSettings:
        """Check and store `settings`; return them as stored.

        Raises: AppError `invalid_request` naming the figure, `no_permission` or `disk_full`.
        """
        check_costs(settings)
        values = {k: v for k, v in msgspec.to_builtins(settings).items() if v is not None}
        with self._lock:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_private(self._path, tomli_w.dumps(values))
            self._current = settings
            self.problem = None
        return settings

    def _read(self) -> CostsSettings:
        try:
            text = self._path.read_text("utf-8")
        except FileNotFoundError:
            return CostsSettings()
        except (OSError, UnicodeDecodeError) as error:
            return self._use_defaults(str(error))
        try:
            settings = msgspec.convert(tomllib.loads(text), CostsSettings)
            check_costs(settings)
        except (tomllib.TOMLDecodeError, msgspec.ValidationError, AppError) as error:
            return self._use_defaults(str(error))
        return settings

    def _use_defaults(self, reason: str) -> CostsSettings:
        kept = self._path.with_name(f"{self._path.name}.damaged-{int(time.time())}")
        try:
            self._path.rename(kept)
        except OSError:
            kept = self._path
        log.warning("costs.toml could not be read, defaults are used; kept as %s", kept.name)
        self.problem = AppError(
            "invalid_request",
            f"What you entered in Costs could not be read ({reason}), so it starts empty.",
            f"Your old file is kept as {kept}.",
            detail={"path": str(kept)},
        )
        return CostsSettings()


def check_costs(settings: CostsSettings) -> None:
    """Raise AppError `invalid_request` for a figure that cannot be."""
    if not settings.capital.is_finite() or not 0 <= settings.capital <= MAX_CAPITAL:
        raise AppError(
            "invalid_request",
            f"A machine for {settings.capital} cannot be.",
            "Enter what it cost, from 0 upwards.",
            detail={"param": "capital"},
        )
    if not 1 <= settings.seats <= MAX_SEATS:
        raise AppError(
            "invalid_request",
            f"{settings.seats} subscriptions cannot be.",
            "Enter 1 or more.",
            detail={"param": "seats"},
        )
    rate = settings.dollars_per_unit
    if not rate.is_finite() or not 0 < rate <= MAX_RATE:
        raise AppError(
            "invalid_request",
            f"A unit of money for {rate} dollars cannot be.",
            "Enter what one unit of your currency is worth in dollars, like 1.08.",
            detail={"param": "dollars_per_unit"},
        )
    if settings.plug is not None:
        check_host(settings.plug.host)
