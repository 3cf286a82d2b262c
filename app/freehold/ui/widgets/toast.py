"""A short message below the page's header that goes by itself and never covers what is typed."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QEvent, QObject, Qt, QTimer
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QWidget

from freehold.ui.icons import pixmap
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.buttons import icon_button
from freehold.ui.widgets.labels import prose, text_label

SHOWN_MS: Final = 4_000
SHOWN_ERROR_MS: Final = 10_000
BELOW_HEADER: Final = 64
MARKS: Final = {"done": ("check", "success"), "error": ("error", "danger")}


class Toast(QFrame):
    """The window's one toast; a new message replaces the old."""

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme, self._over = theme, parent
        self.setProperty("toast", True)
        self._row = row = QHBoxLayout(self)
        row.setContentsMargins(SIZES["space-2"], 8, 8, 8)
        row.setSpacing(12)
        self._mark = QLabel()
        self._words = text_label("", wrap=True)
        row.addWidget(self._mark, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self._words, 1)
        row.addWidget(icon_button(theme, "close", "Dismiss", self.hide))
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.hide)
        parent.installEventFilter(self)
        self.hide()

    @property
    def text(self) -> str:
        """Return what it says (or said last)."""
        return self._words.text()

    def say(self, text: str, *, kind: str = "done") -> None:
        """Show `text`; kind: "done" or "error", which stays longer."""
        icon, token = MARKS[kind]
        self._mark.setPixmap(pixmap(icon, self._theme.hex(token), 20, self.devicePixelRatioF()))
        self._words.setText(prose(text))
        self.setAccessibleName(prose(text))
        self._place()
        self.show()
        self.raise_()
        self._timer.start(SHOWN_ERROR_MS if kind == "error" else SHOWN_MS)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize and self.isVisible():
            self._place()
        return super().eventFilter(watched, event)

    def _place(self) -> None:
        parent = self._over
        one_line = self._words.fontMetrics().horizontalAdvance(self._words.text()) + 130
        width = min(560, one_line, parent.width() - SIZES["space-4"])
        self.setFixedWidth(max(160, width))
        self._row.activate()
        height = max(self.heightForWidth(self.width()), self.minimumSizeHint().height())
        self.setFixedHeight(height)
        self.move((parent.width() - self.width()) // 2, BELOW_HEADER)
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground, True)
