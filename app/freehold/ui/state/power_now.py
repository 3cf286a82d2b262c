"""What the machine draws now, for the strip: read every few seconds while somebody looks."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from freehold.errors import AppError
from freehold.ui.state.delay import Delay
from freehold.ui.state.session import Session
from freehold.ui.tasks import spawn
from freehold.wire_power import (
    LivePower,
)

LOOK_MS = 3000


class PowerNow(QObject):
    """Signals: changed: `live` is another now; None while it is not known."""

    changed = Signal()

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.live: LivePower | None = None
        self._watched = False
        self._reading = False
        self._next_look = Delay(LOOK_MS, self._look, self)
        session.connected.connect(self._look)

    def watch(self, on: bool) -> None:
        """Begin to look, or stop."""
        self._watched = on
        if on:
            self._next_look.start(0)
        else:
            self._next_look.stop()

    def _look(self) -> None:
        if self._watched and not self._reading and self._session.is_connected:
            self._reading = True
            spawn(self, self._read(), name="read power now", failed=self._lose)

    async def _read(self) -> None:
        try:
            self._take(await self._session.client.costs.power())
        finally:
            self._reading = False
            if self._watched:
                self._next_look.start(LOOK_MS)

    def _lose(self, _error: AppError) -> None:
        # The strip says by itself that the server is away.
        self._take(None)

    def _take(self, live: LivePower | None) -> None:
        if live != self.live:
            self.live = live
            self.changed.emit()
