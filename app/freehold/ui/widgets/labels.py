"""Text in the roles of the style sheet, and text that gives way to its width."""

from __future__ import annotations

import html
import re

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget


def text_label(
    text: str = "", role: str = "body", *, wrap: bool = False, parent: QWidget | None = None
) -> QLabel:
    """Return a plain-text label; role: body, strong, muted, small, section, title, chip…"""
    label = QLabel(text, parent)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setProperty("role", role)
    label.setWordWrap(wrap)
    if wrap:
        label.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
    return label


def prose(text: str) -> str:
    """Return a message for people: what it marks as code stands in quotation marks."""
    return re.sub(r"`([^`\n]+)`", r"“\1”", text)


def set_role(widget: QWidget, name: str, value: object) -> None:
    """Change a property the style sheet looks at, and apply the sheet again."""
    if widget.property(name) == value:
        return
    widget.setProperty(name, value)
    widget.style().unpolish(widget)
    widget.style().polish(widget)


class ElidedLabel(QLabel):
    """One line that shows `…` when it does not fit, and the whole text as its tool tip."""

    def __init__(
        self,
        text: str = "",
        role: str = "body",
        *,
        mode: Qt.TextElideMode = Qt.TextElideMode.ElideRight,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(text, parent)
        self._mode = mode
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setProperty("role", role)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.setMinimumWidth(24)

    def setText(self, text: str) -> None:
        super().setText(text)
        self._explain()
        self.updateGeometry()

    def minimumSizeHint(self) -> QSize:
        return QSize(24, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._explain()

    def shown_text(self) -> str:
        """Return what is on the screen."""
        return self.fontMetrics().elidedText(self.text(), self._mode, self.contentsRect().width())

    def _explain(self) -> None:
        whole = self.shown_text() == self.text()
        # Names come from files: markup in them must not become rich text.
        self.setToolTip("" if whole else f"<qt>{html.escape(self.text())}</qt>")

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setPen(self.palette().color(self.foregroundRole()))
        painter.drawText(
            self.contentsRect(),
            Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft,
            self.shown_text(),
        )
