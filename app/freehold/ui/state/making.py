"""What is being made on the server's machine, as the window shows it."""

from __future__ import annotations

import asyncio

from PySide6.QtCore import QObject, Signal

from freehold.ui.state.session import Session
from freehold.ui.tasks import spawn
from freehold.wire import Changed
from freehold.wire_files import Making

TOPIC = "making"


class MakingState(QObject):
    """The jobs, newest first.

    Signals: changed; finished(Making): one became a model while the window watched.
    """

    changed = Signal()
    finished = Signal(object)

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._jobs: tuple[Making, ...] = ()
        self._reading: asyncio.Task[None] | None = None
        self._again = False
        session.connected.connect(self.refresh)
        session.event_received.connect(self._take)
        if session.is_connected:
            self.refresh()

    @property
    def jobs(self) -> tuple[Making, ...]:
        """Return every job that is listed."""
        return self._jobs

    def refresh(self) -> None:
        """Read the list again; asked meanwhile, once more."""
        if self._reading is not None and not self._reading.done():
            self._again = True
            return
        self._reading = spawn(self, self._read(), failed=lambda _error: None)

    async def cancel(self, identifier: str) -> None:
        """End a job, or take an ended one off the list."""
        await self._session.client.files.cancel_making(identifier)

    async def _read(self) -> None:
        while True:
            self._again = False
            self._show(await self._session.client.files.making())
            if not self._again:
                return

    def _show(self, jobs: tuple[Making, ...]) -> None:
        running = {job.id for job in self._jobs if job.state == "running"}
        if jobs != self._jobs:
            self._jobs = jobs
            self.changed.emit()
        for job in jobs:
            if job.id in running and job.state == "done":
                self.finished.emit(job)

    def _take(self, event: object) -> None:
        if isinstance(event, Changed) and event.topic == TOPIC:
            self.refresh()
