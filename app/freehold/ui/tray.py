"""The tray icon: the server at a glance, and Freehold while no window is open."""

from __future__ import annotations

from functools import partial
from typing import Final

from PySide6.QtCore import QByteArray, QObject, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QAction, QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QMenu, QSystemTrayIcon

from freehold.paths import resources
from freehold.ui.state.models import ModelsState
from freehold.ui.state.server import Condition, ServerStatus, server_status
from freehold.ui.state.session import Session
from freehold.ui.theme import Theme

LOOK_AGAIN_MS: Final = 5_000
# The drawing for each condition; loading and loaded differ by the mark's colour.
DRAWINGS: Final[dict[Condition, str]] = {
    "starting": "freehold-off-symbolic",
    "off": "freehold-off-symbolic",
    "lost": "freehold-error-symbolic",
    "idle": "freehold-symbolic",
    "loading": "freehold-busy-symbolic",
    "loaded": "freehold-symbolic",
    "busy": "freehold-busy-symbolic",
}
LIT: Final = ("loaded", "loading", "busy")


class Tray(QObject):
    """Signals: *_requested: what was chosen in the menu; availability_changed(bool)."""

    open_requested = Signal()
    new_chat_requested = Signal()
    toggle_server_requested = Signal()
    copy_address_requested = Signal()
    unload_requested = Signal(str)
    quit_requested = Signal()
    availability_changed = Signal(bool)

    def __init__(
        self,
        session: Session,
        models: ModelsState,
        theme: Theme,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._models, self._theme = session, models, theme
        self._available = False
        self._shown: tuple[object, ...] = ()
        self.menu = QMenu()
        self._make_menu()
        self.icon = QSystemTrayIcon(self)
        self.icon.setContextMenu(self.menu)
        self.icon.activated.connect(self._on_activated)
        for signal in (
            session.state_changed,
            session.connected,
            session.disconnected,
            models.row_changed,
            theme.changed,
        ):
            signal.connect(self.refresh)
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_AGAIN_MS)
        self._timer.timeout.connect(self.look)
        self._timer.start()
        self.refresh()
        self.look()

    @property
    def is_usable(self) -> bool:
        """Return whether a tray shows the icon now, so that a hidden window can be reached."""
        return self._available and self.icon.isVisible()

    def look(self) -> None:
        """Look whether the desktop has a tray; it may come and go."""
        available = QSystemTrayIcon.isSystemTrayAvailable()
        if available and not self.icon.isVisible():
            self.icon.show()
        if available != self._available:
            self._available = available
            self.availability_changed.emit(available)

    def tell(self, title: str, text: str) -> None:
        """Show a notification from the icon."""
        if self.is_usable:
            self.icon.showMessage(title, text, self.icon.icon(), 6_000)

    def refresh(self, _cause: object = None) -> None:
        """Show what holds now, touching only what differs."""
        status = server_status(self._session, self._models)
        loaded = tuple((row.ref, row.entry.name) for row in self._models.loaded)
        failed = any(row.condition == "failed" for row in self._models.rows)
        shown = (status, loaded, failed, self._theme.name, self._session.is_local)
        if shown == self._shown:
            return
        self._shown = shown
        self.icon.setIcon(tray_icon(status, failed, self._theme))
        self.icon.setToolTip(status.tip)
        self._address.setText(f"{status.line}: {status.address}" if status.address else status.line)
        self._copy.setEnabled(bool(status.address))
        self._toggle.setText("Switch the server off" if status.is_on else "Switch the server on")
        self._toggle.setEnabled(self._session.is_local and status.condition != "starting")
        self._fill_loaded(loaded)

    def close(self) -> None:
        """Take the icon away."""
        self._timer.stop()
        self.icon.hide()
        self.menu.deleteLater()

    def _make_menu(self) -> None:
        def add(text: str, signal: object) -> QAction:
            action = self.menu.addAction(text)
            action.triggered.connect(lambda _checked=False: signal.emit())  # type: ignore[attr-defined]
            return action

        add("Open Freehold", self.open_requested)
        add("New chat", self.new_chat_requested)
        self.menu.addSeparator()
        self._address = self.menu.addAction("")
        self._address.setEnabled(False)
        self._toggle = add("", self.toggle_server_requested)
        self._copy = add("Copy address", self.copy_address_requested)
        self._loaded = self.menu.addMenu("Loaded models")
        self.menu.addSeparator()
        add("Quit Freehold…", self.quit_requested)

    def _fill_loaded(self, loaded: tuple[tuple[str, str], ...]) -> None:
        self._loaded.clear()
        self._loaded.setEnabled(bool(loaded))
        for ref, name in loaded:
            action = self._loaded.addAction(f"Unload {name}")
            action.triggered.connect(partial(self._unload, ref))

    def _unload(self, ref: str, _checked: bool = False) -> None:
        self.unload_requested.emit(ref)

    def _on_activated(self, reason: QSystemTrayIcon.ActivationReason) -> None:
        if reason in (
            QSystemTrayIcon.ActivationReason.Trigger,
            QSystemTrayIcon.ActivationReason.DoubleClick,
        ):
            self.open_requested.emit()


def tray_icon(status: ServerStatus, failed: bool, theme: Theme) -> QIcon:
    """Return the icon of a condition, in a colour that reads on light and dark panels."""
    name = "freehold-error-symbolic" if failed else DRAWINGS[status.condition]
    if failed or status.condition == "lost":
        color = "#e5484d"
    elif status.condition in LIT:
        color = "#3fae85"
    else:
        color = theme.hex("text-faint")
    source = (resources() / "icons" / f"{name}.svg").read_text(encoding="utf-8")
    renderer = QSvgRenderer(QByteArray(source.replace("#2e3436", color).encode()))
    icon = QIcon()
    for size in (16, 22, 24, 32, 48, 64):
        drawn = QPixmap(QSize(size, size))
        drawn.fill(Qt.GlobalColor.transparent)
        painter = QPainter(drawn)
        renderer.render(painter)
        painter.end()
        icon.addPixmap(drawn)
    return icon
