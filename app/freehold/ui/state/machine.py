"""The machine and the plans for it, as pages show them: caches of what the server says."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from PySide6.QtCore import QObject, QTimer, Signal

from freehold.errors import AppError
from freehold.ui.state.delay import Delay
from freehold.ui.state.session import Session
from freehold.ui.tasks import spawn
from freehold.wire_machine import MachineJob, MachineState, ModelSetup, Plan, PlanRequest

LOOK_MS: Final = 2000
JOB_LOOK_MS: Final = 500
SETTLE_MS: Final = 150


class MachineView(QObject):
    """The machine as it is now; looks only while somebody watches.

    Signals: changed: the machine is another now. failed(AppError): it could not be read.
    """

    changed = Signal()
    failed = Signal(object)

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.state: MachineState | None = None
        self._reading = False
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_MS)
        self._timer.timeout.connect(self.refresh)

    def watch(self, on: bool) -> None:
        """Begin or end to look every two seconds."""
        if on and not self._timer.isActive():
            self._timer.start()
            self.refresh()
        elif not on:
            self._timer.stop()

    @property
    def job(self) -> MachineJob | None:
        """Return the measurement under way, or the last one."""
        return self.state.job if self.state is not None else None

    def calibrate(self) -> None:
        """Measure how fast the machine is."""
        self._act(self._session.client.machine.calibrate())

    def tune(self, ref: str) -> None:
        """Find the settings a model runs fastest with."""
        self._act(self._session.client.machine.tune(ref))

    def cancel(self) -> None:
        """End the measurement under way."""
        self._act(self._session.client.machine.cancel_job())

    def _act(self, asked: Coroutine[Any, Any, MachineState]) -> None:
        async def act() -> None:
            self._take(await asked)

        spawn(self, act(), name="measure the machine", failed=self.failed.emit)

    def refresh(self) -> None:
        """Read the machine once."""
        if self._reading or not self._session.is_connected:
            return
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return  # the loop is between two steps; the next look will do
        self._reading = True
        spawn(self, self._read(), name="read the machine", failed=self.failed.emit)

    async def _read(self) -> None:
        try:
            state = await self._session.client.machine.state()
        finally:
            self._reading = False
        self._take(state)

    def _take(self, state: MachineState) -> None:
        is_measured = state.job is not None and not state.job.is_over
        self._timer.setInterval(JOB_LOOK_MS if is_measured else LOOK_MS)
        if state != self.state:
            self.state = state
            self.changed.emit()


class SetupView(QObject):
    """How a model is loaded next time, and what tuning found for it.

    Signals: changed: it is another now.
    """

    changed = Signal()

    def __init__(self, session: Session, ref: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session, self._ref = session, ref
        self.setup: ModelSetup | None = None

    def read(self) -> None:
        """Read it once."""
        self._take_from(self._session.client.machine.setup(self._ref))

    def use_tuned(self, as_tuned: bool) -> None:
        """Load the model as tuned, or as before, from its next load on."""
        self._take_from(self._session.client.machine.use_tuned(self._ref, as_tuned=as_tuned))

    def _take_from(self, asked: Coroutine[Any, Any, ModelSetup]) -> None:
        async def take() -> None:
            self.setup = await asked
            self.changed.emit()

        spawn(self, take(), name="read how a model is loaded")


class PlanView(QObject):
    """The plan for what is chosen; only the answer to the last question counts.

    Signals: changed: plan, problem or is_waiting is another now.
    """

    changed = Signal()

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.plan: Plan | None = None
        self.problem: AppError | None = None
        self.is_waiting = False
        self.request: PlanRequest | None = None
        self._number = 0
        self._later = Delay(SETTLE_MS, self._ask, self)

    def ask(self, request: PlanRequest) -> None:
        """Ask for a plan soon; changes that follow at once are asked together."""
        if request == self.request and not self.problem:
            return
        self.request = request
        self.is_waiting = True
        self._number += 1
        self.changed.emit()
        self._later.start()

    def ask_again(self) -> None:
        """Ask the same once more: memory may be another now."""
        if self.request is not None:
            self._number += 1
            self.is_waiting = True
            self._later.start()

    def _ask(self) -> None:
        if self.request is not None and self._session.is_connected:
            spawn(self, self._answer(self.request, self._number), name="plan")

    async def _answer(self, request: PlanRequest, number: int) -> None:
        plan, problem = None, None
        try:
            plan = await self._session.client.machine.plan(request)
        except AppError as error:
            problem = error
        if number == self._number:
            self.plan, self.problem, self.is_waiting = plan, problem, False
            self.changed.emit()
