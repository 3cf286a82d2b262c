"""How full the model's context is."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from freehold.ui.theme import Theme


def context_text(used: int, total: int) -> str:
    """Return the meter in words, `Context 62 % full: 5,080 of 8,192 tokens`."""
    if not total:
        return f"Context: {used:,} tokens used; how many fit is known once the model is loaded"
    return f"Context {round(100 * used / total)} % full: {used:,} of {total:,} tokens"


class ContextMeter(QWidget):
    """A small bar with a figure; amber when nearly full, red when full."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._used = self._total = 0
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        theme.changed.connect(self.update)
        self.show_use(0, 0)

    @property
    def text(self) -> str:
        """Return the meter in words."""
        return context_text(self._used, self._total)

    def show_use(self, used: int, total: int) -> None:
        """Show how many tokens of the context are taken."""
        self._used, self._total = used, total
        self.setToolTip(self.text)
        self.setAccessibleName(self.text)
        self.setVisible(bool(used))
        self.updateGeometry()
        self.update()

    def _words(self) -> str:
        return f"{round(100 * self._used / self._total)} %" if self._total else f"{self._used:,}"

    def sizeHint(self) -> QSize:
        metrics = self.fontMetrics()
        return QSize(64 + 8 + metrics.horizontalAdvance("100 %") + 4, metrics.height() + 6)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        share = min(1.0, self._used / self._total) if self._total else 0.0
        bar = QRectF(0, (self.height() - 6) / 2, 64, 6)
        painter.setBrush(self._theme.color("pressed"))
        painter.drawRoundedRect(bar, 3, 3)
        token = "danger" if share >= 0.95 else "warning" if share >= 0.8 else "accent"
        painter.setBrush(self._theme.color(token))
        if share:
            painter.drawRoundedRect(QRectF(0, bar.y(), max(6.0, 64 * share), 6), 3, 3)
        painter.setPen(self._theme.color("text-muted"))
        place = QRectF(72, 0, self.width() - 72, self.height())
        painter.drawText(place, Qt.AlignmentFlag.AlignVCenter, self._words())
