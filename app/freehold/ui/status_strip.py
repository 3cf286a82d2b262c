"""The strip at the bottom: the server and its address, the loaded model, what is on its way."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QHideEvent, QShowEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QMenu, QProgressBar, QToolButton, QWidget

from freehold.ui.costs.amounts import level_text, watts
from freehold.ui.icons import pixmap
from freehold.ui.state.models import ModelsState
from freehold.ui.state.power_now import PowerNow
from freehold.ui.state.server import server_status
from freehold.ui.state.session import Session
from freehold.ui.theme import Theme
from freehold.ui.widgets.labels import ElidedLabel, text_label

DOTS: Final = {
    "starting": "text-faint",
    "off": "text-faint",
    "lost": "danger",
    "idle": "success",
    "loading": "warning",
    "loaded": "success",
    "busy": "accent",
}


class StatusStrip(QFrame):
    """Shows the session; `copy_address` and `toggle_server` are actions the window connects."""

    def __init__(
        self, session: Session, models: ModelsState, theme: Theme, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._session, self._models, self._theme = session, models, theme
        self.setObjectName("statusStrip")
        self.setAccessibleName("Status")
        self.setFixedHeight(34)
        self.copy_address = QAction("Copy address", self)
        self.toggle_server = QAction("Switch the server off", self)
        menu = QMenu(self)
        menu.addAction(self.copy_address)
        menu.addAction(self.toggle_server)
        self._dot = QLabel()
        self.server = QToolButton()
        self.server.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
        self.server.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.server.setMenu(menu)
        self.server.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.server.setCursor(Qt.CursorShape.PointingHandCursor)
        self.models = ElidedLabel("")
        self.power = text_label("")
        self.power.setAccessibleName("Power now")
        self.power.hide()
        self._power = PowerNow(session, self)
        self._power.changed.connect(self._show_power)
        self.loading = text_label("")
        self.progress = QProgressBar()
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.progress.setFixedWidth(120)
        self.progress.setAccessibleName("Load progress")
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 0, 16, 0)
        row.setSpacing(2)
        row.addWidget(self._dot)
        row.addWidget(self.server)
        row.addSpacing(12)
        row.addWidget(self.models, 1)
        row.addWidget(self.loading)
        row.addSpacing(4)
        row.addWidget(self.progress)
        row.addSpacing(12)
        row.addWidget(self.power)
        session.state_changed.connect(self.refresh)
        session.connected.connect(self.refresh)
        session.disconnected.connect(self.refresh)
        models.row_changed.connect(self.refresh)
        models.rows_changed.connect(self.refresh)
        theme.changed.connect(self.refresh)
        self.refresh()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._power.watch(True)

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._power.watch(False)

    def _show_power(self) -> None:
        live = self._power.live
        shown = live is not None and live.watts is not None
        self.power.setVisible(shown)
        if live is None or not shown:
            return
        estimated = live.level == "estimate"
        self.power.setText(f"{watts(live.watts)} (estimate)" if estimated else watts(live.watts))
        self.power.setToolTip(f"Drawn now, {level_text(live.level, live.error_share)}")

    def refresh(self, _cause: object = None) -> None:
        """Show what holds now."""
        status = server_status(self._session, self._models)
        address = status.address.removeprefix("http://")
        line = f"{status.line} · {address}" if address else status.line
        self.server.setText(line)
        self.server.setAccessibleName(f"{line}, menu")
        self._dot.setPixmap(
            pixmap("dot", self._theme.hex(DOTS[status.condition]), 16, self.devicePixelRatioF())
        )
        self.models.setText(status.models)
        self.copy_address.setEnabled(bool(status.address))
        self.toggle_server.setText(
            "Switch the server off" if status.is_on else "Switch the server on"
        )
        self.toggle_server.setEnabled(self._session.is_local)
        loading = self._models.loading
        self.progress.setVisible(bool(loading))
        self.loading.setVisible(bool(loading))
        if loading and loading[0].engine is not None:
            fraction = loading[0].engine.fraction
            more = f" and {len(loading) - 1} more" if len(loading) > 1 else ""
            self.loading.setText(f"Loading {loading[0].entry.name}{more} · {fraction:.0%}")
            self.progress.setValue(round(fraction * 1000))
