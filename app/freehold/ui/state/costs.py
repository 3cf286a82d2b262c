"""Power and money as the Costs page shows them: caches of what the server says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from PySide6.QtCore import QObject, Signal

from freehold.client.costs import Form
from freehold.errors import AppError
from freehold.ui.state.delay import Delay
from freehold.ui.state.session import Session
from freehold.ui.tasks import spawn
from freehold.wire import Changed
from freehold.wire_costs import (
    By,
    CostsSettings,
    CostSummary,
    OwnOrRent,
    OwnOrRentAnswer,
    Payback,
    PriceList,
    SeriesImport,
    TariffPlan,
    TariffState,
)
from freehold.wire_power import (
    Advice,
    CalibrationState,
    Capacity,
    LimitState,
    LivePower,
    Meters,
    PlugTrial,
    PowerCurve,
    PowerSpan,
)

LIVE_MS = 1000
TOPIC = "costs"
T = TypeVar("T")


class CostsState(QObject):
    """What the server last said of power and money.

    Signals:
        *_changed: that part is another now.
        answered(OwnOrRentAnswer), refused(AppError): of the last question.
        prices_copied(path): the person can edit them there.
        failed(AppError): reading or storing something did not work.
    """

    payback_changed = Signal()
    month_changed = Signal()
    live_changed = Signal()
    curve_changed = Signal()
    tariff_changed = Signal()
    meters_changed = Signal()
    advice_changed = Signal()
    prices_changed = Signal()
    settings_changed = Signal()
    calibration_changed = Signal()
    limits_changed = Signal()
    capacity_changed = Signal()
    answered = Signal(object)
    refused = Signal(object)
    failed = Signal(object)
    prices_copied = Signal(str)

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.payback: Payback | None = None
        self.summary: CostSummary | None = None
        self.live: LivePower | None = None
        self.curve: PowerCurve | None = None
        self.tariff: TariffState | None = None
        self.meters: Meters | None = None
        self.advice: Advice | None = None
        self.prices: PriceList | None = None
        self.settings: CostsSettings | None = None
        self.calibration = CalibrationState()
        self.limits: LimitState | None = None
        self.capacity: Capacity | None = None
        self.month = ""
        self.by: By = "person"
        self.span: PowerSpan = "minute"
        self._question: OwnOrRent | None = None
        self._asking: asyncio.Task[None] | None = None
        self._is_live = False
        self._reading = False
        self._next_look = Delay(LIVE_MS, self._look, self)
        self._trials = {
            "calibration": Delay(LIVE_MS, self._look_at_calibration, self),
            "limits": Delay(LIVE_MS, self._look_at_limits, self),
        }
        session.event_received.connect(self._on_event)

    @property
    def is_local(self) -> bool:
        """Return whether the server is on this machine, so that it can be set up from here."""
        return self._session.is_local

    # --- reading -------------------------------------------------------------------------

    def refresh(self) -> None:
        """Read everything but the live figures again."""
        spawn(self, self._refresh(), name="read costs", failed=self._fail)

    def show_month(self, month: str = "", by: By = "person") -> None:
        """Read another month, or the same cut another way."""
        self.month, self.by = month, by
        spawn(self, self._read_month(), name="read the month", failed=self._fail)

    async def _refresh(self) -> None:
        costs = self._session.client.costs
        await self._take("settings", costs.settings())
        await self._take("payback", costs.payback())
        await self._take("prices", costs.prices())
        await self._take("tariff", costs.tariff())
        await self._read_month()
        await self._take("meters", costs.meters())
        await self._take("advice", costs.advice())
        await self._take("capacity", costs.capacity())
        await self._follow("limits", costs.limits())
        await self._follow("calibration", costs.calibration())

    async def _read_month(self) -> None:
        month, by = self.month, self.by
        found = await self._session.client.costs.summary(month, by)
        if (month, by) == (self.month, self.by):
            self.summary = found
            self.month_changed.emit()

    async def _take(self, name: str, reading: Awaitable[object]) -> None:
        found = await reading
        if getattr(self, name) != found:
            setattr(self, name, found)
            getattr(self, f"{name}_changed").emit()

    def _on_event(self, event: object) -> None:
        # A page that has shown nothing yet reads when it is shown.
        if isinstance(event, Changed) and event.topic == TOPIC and self.settings is not None:
            self.refresh()

    def _fail(self, error: AppError) -> None:
        self.failed.emit(error)

    # --- live ----------------------------------------------------------------------------

    def watch(self, on: bool) -> None:
        """Begin to read power once a second, or stop."""
        self._is_live = on
        if on and not self._reading:
            self._look()
        elif not on:
            self._next_look.stop()

    def show_span(self, span: PowerSpan) -> None:
        """Show the last minute, hour, day or month."""
        self.span = span
        self.watch(self._is_live)

    def _look(self) -> None:
        if self._is_live and not self._reading:
            self._reading = True
            spawn(self, self._read_live(), name="read power", failed=lambda _error: None)

    async def _read_live(self) -> None:
        try:
            costs = self._session.client.costs
            self.live = await costs.power()
            self.live_changed.emit()
            span = self.span
            curve = await costs.history(span)
            if span == self.span:
                self.curve = curve
                self.curve_changed.emit()
        finally:
            self._reading = False
            if self._is_live:
                self._next_look.start()

    # --- trials --------------------------------------------------------------------------

    def calibrate(self) -> None:
        """Begin a calibration beside the plug, and follow it."""
        self._try("calibration", self._session.client.costs.calibrate)

    def cancel_calibration(self) -> None:
        """End a calibration without a result."""
        self._try("calibration", self._session.client.costs.cancel_calibration)

    def forget_calibration(self) -> None:
        """Count the rest of the machine no longer by a calibration."""
        self.run(self._take("meters", self._session.client.costs.forget_calibration()))

    def measure_limit(self) -> None:
        """Begin to measure at the power limit that is set, and follow it."""
        self._try("limits", self._session.client.costs.measure_limit)

    def cancel_limit(self) -> None:
        """End that without a point."""
        self._try("limits", self._session.client.costs.cancel_limit)

    def forget_limits(self) -> None:
        """Remove the points of the sweep."""
        self._try("limits", self._session.client.costs.forget_limits)

    def _try(self, name: str, call: Callable[[], Awaitable[object]]) -> None:
        self.run(self._follow(name, call()))

    def _look_at_calibration(self) -> None:
        self._try("calibration", self._session.client.costs.calibration)

    def _look_at_limits(self) -> None:
        self._try("limits", self._session.client.costs.limits)

    async def _follow(self, name: str, reading: Awaitable[object]) -> None:
        """Take over how far a trial is, and look again while it runs."""
        await self._take(name, reading)
        if is_running(self.calibration if name == "calibration" else self.limits):
            self._trials[name].start()

    # --- own or rent ---------------------------------------------------------------------

    def ask(self, question: OwnOrRent) -> None:
        """Ask a question; of many in a row, the last is answered."""
        self._question = question
        if self._asking is None or self._asking.done():
            self._asking = spawn(self, self._answer(), name="own or rent", failed=self._fail)

    async def _answer(self) -> None:
        while self._question is not None:
            question, self._question = self._question, None
            try:
                answer: OwnOrRentAnswer = await self._session.client.costs.own_or_rent(question)
            except AppError as error:
                if error.code != "invalid_request":
                    raise
                self.refused.emit(error)
            else:
                self.answered.emit(answer)

    # --- changing ------------------------------------------------------------------------

    async def save_settings(self, settings: CostsSettings) -> None:
        """Store what is owned."""
        await self._take("settings", self._session.client.costs.save_settings(settings))

    async def save_tariff(self, plan: TariffPlan | None) -> None:
        """Store a tariff, or none."""
        await self._take("tariff", self._session.client.costs.save_tariff(plan))

    async def import_prices(self, wanted: SeriesImport) -> None:
        """Keep prices by time, and show what came of them."""
        await self._session.client.costs.import_prices(wanted)
        await self._take("tariff", self._session.client.costs.tariff())

    async def set_plug(self, plug: PlugTrial | None) -> None:
        """Read by a plug or board from now on, or no longer."""
        await self._take("meters", self._session.client.costs.set_plug(plug))

    async def save_statement(self, path: Path, form: Form) -> None:
        """Write the shown month's statement to a file on the window's machine.

        Raises: AppError `no_permission` when the file cannot be written.
        """
        content = await self._session.client.costs.statement(self.month, form)
        try:
            await asyncio.to_thread(path.write_bytes, content)
        except OSError as error:
            raise AppError(
                "no_permission",
                f"{path.name} could not be written: {error.strerror}.",
                "Choose another folder.",
            ) from error

    async def copy_prices(self) -> None:
        """Begin the person's own price list and tell where it lies."""
        self.prices_copied.emit(await self._session.client.costs.copy_prices())

    def run(self, call: Awaitable[None], failed: Callable[[AppError], None] | None = None) -> None:
        """Run a change as a task; its failure is told to `failed`, or by the signal."""

        async def wait() -> None:
            await call

        spawn(self, wait(), name="change costs", failed=failed or self._fail)


def is_running(found: CalibrationState | LimitState | None) -> bool:
    """Return whether a trial goes on."""
    if isinstance(found, CalibrationState):
        return found.phase in ("rest", "load")
    return found is not None and found.measuring
