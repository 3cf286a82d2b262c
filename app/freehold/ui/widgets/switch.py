"""An on/off switch, for settings that take effect at once."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QCheckBox, QSizePolicy, QWidget

from freehold.ui.theme import Theme


class Switch(QCheckBox):
    """A check box drawn as a switch; screen readers and keys know it as a check box."""

    def __init__(self, theme: Theme, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.setAccessibleName(name)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        theme.changed.connect(self.update)

    def sizeHint(self) -> QSize:
        return QSize(46, 28)

    def hitButton(self, pos: object) -> bool:
        return self.rect().contains(pos)  # type: ignore[call-overload]

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        color = self._theme.color
        track = QRectF(3, 4, 40, 20)
        on = self.isChecked()
        edge = "accent" if on else "border-strong"
        fill = "accent" if on else "surface"
        if not self.isEnabled():
            edge, fill = "border", "hover"
        painter.setPen(QPen(color(edge), 1.2))
        painter.setBrush(color(fill))
        painter.drawRoundedRect(track, 10, 10)
        knob = "accent-text" if on else "text-faint"
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(color(knob if self.isEnabled() else "text-disabled"))
        painter.drawEllipse(QRectF(track.right() - 17 if on else track.left() + 3, 7, 14, 14))
        if self.hasFocus():
            painter.setPen(QPen(color("focus"), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(1, 2, 44, 24), 12, 12)
