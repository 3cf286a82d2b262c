"""The machine and the plans for it, as pages show them: caches of what the server says."""

from __future__ import annotations

import asyncio
from typing import Final

from PySide6.QtCore import QObject, QTimer, Signal

from freehold.errors import AppError
from freehold.ui.state.delay import Delay
from freehold.ui.state.session import Session
from freehold.ui.tasks import spawn
from freehold.wire_machine import MachineState, Plan, PlanRequest

LOOK_MS: Final = 2000
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
        if state != self.state:
            self.state = state
            self.changed.emit()


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
