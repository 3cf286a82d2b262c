"""The tariff that applies now: the person's file or price, read again when it changes."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from freehold.errors import AppError
from freehold.ledger.tariff_file import SERIES_FILE, load_tariff
from freehold.ledger.tariffs import Tariff, price_at
from freehold.server.metering import AppliedPrice
from freehold.wire import Settings

log = logging.getLogger(__name__)

NO_TARIFF = AppliedPrice("", Decimal(0))


class TariffInForce:
    """Gives the price of a moment; a broken tariff file never stops the metering.

    Attributes:
        problem: why no price is applied although a file or a price was given.
    """

    def __init__(self, path: Path, settings: Callable[[], Settings]) -> None:
        self._path = path
        self._settings = settings
        self._seen: tuple[float, float, str, str] | None = None
        self._tariff: Tariff | None = None
        self.problem: AppError | None = None

    @property
    def path(self) -> Path:
        """Return where the person's tariff lies, if there is one."""
        return self._path

    @property
    def series_path(self) -> Path:
        """Return where the imported prices lie, if there are any."""
        return self._path.with_name(SERIES_FILE)

    @property
    def has_file(self) -> bool:
        """Return whether the person has a tariff of their own. Blocks on the disk."""
        return self._path.exists()

    def read_again(self) -> None:
        """Forget what was read, however little time has passed since the file changed."""
        self._seen = None

    @property
    def current(self) -> Tariff | None:
        """Return the tariff, None where no price is known."""
        settings = self._settings()
        changed = (_changed_at(self._path), _changed_at(self.series_path))
        seen = (*changed, settings.price_per_kwh, settings.currency)
        if seen != self._seen:
            self._seen = seen
            self._read(settings)
        return self._tariff

    def _read(self, settings: Settings) -> None:
        self._tariff, self.problem = None, None
        try:
            self._tariff = load_tariff(self._path, settings.price_per_kwh, settings.currency)
        except AppError as error:
            log.warning("%s", error.message)
            self.problem = error

    def price_at(self, moment: float) -> AppliedPrice:
        """Return the price of a kWh at a Unix time, tax in it."""
        tariff = self.current
        if tariff is None:
            return NO_TARIFF
        when = datetime.datetime.fromtimestamp(moment, datetime.UTC)
        try:
            price = price_at(tariff, when) * (1 + tariff.tax_rate)
            return AppliedPrice(tariff.name, price, tariff.currency, tariff.tax_rate)
        except AppError as error:
            self.problem = error
            return NO_TARIFF


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
