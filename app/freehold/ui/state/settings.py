"""The settings as the window changes them: at once on the screen, then on the server."""

from __future__ import annotations

import asyncio

import msgspec
from PySide6.QtCore import QObject, Signal

from freehold.errors import AppError
from freehold.ui.state.session import Session
from freehold.ui.tasks import spawn
from freehold.wire import Settings


class SettingsState(QObject):
    """The settings in force, and changes on their way.

    Signals:
        changed: a value is another now.
        failed(names, AppError): these changes were refused and taken back.
        saved(names): these changes are stored.
    """

    changed = Signal()
    failed = Signal(object, object)
    saved = Signal(object)

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._pending: dict[str, object] = {}
        self._sending: dict[str, object] = {}
        self._task: asyncio.Task[None] | None = None
        self._shown = session.settings
        session.settings_changed.connect(self._follow)

    @property
    def values(self) -> Settings:
        """Return the settings with the changes under way."""
        return msgspec.structs.replace(self._session.settings, **{**self._sending, **self._pending})

    @property
    def is_saving(self) -> bool:
        return bool(self._pending or self._sending)

    def change(self, **values: object) -> None:
        """Change settings by name; nothing is sent when they are so already."""
        now = msgspec.structs.asdict(self.values)
        new = {name: value for name, value in values.items() if now[name] != value}
        if not new:
            return
        self._pending.update(new)
        self._follow()
        if self._task is None or self._task.done():
            self._task = spawn(self, self._save(), name="save settings")

    async def _save(self) -> None:
        """Send what is pending, one request at a time, until nothing is."""
        while self._pending:
            self._sending, self._pending = self._pending, {}
            names = tuple(self._sending)
            try:
                wanted = msgspec.structs.replace(self._session.settings, **self._sending)
                stored = await self._session.client.save_settings(wanted)
            except AppError as error:
                self._sending = {}
                self._follow()
                self.failed.emit(names, error)
            else:
                self._session.take_settings(stored)
                self._sending = {}
                self._follow()
                self.saved.emit(names)

    def _follow(self) -> None:
        if self._shown != self.values:
            self._shown = self.values
            self.changed.emit()
