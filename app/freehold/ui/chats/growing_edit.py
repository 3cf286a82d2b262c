"""A text box as high as its text, within limits."""

from __future__ import annotations

from PySide6.QtCore import QMimeData, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QPlainTextEdit, QSizePolicy, QWidget


class GrowingEdit(QPlainTextEdit):
    """Plain text of 1 to `most_lines` lines; beyond that it scrolls.

    Signals: submitted: Ctrl+Enter.
    """

    submitted = Signal()

    def __init__(self, parent: QWidget | None = None, *, most_lines: int = 10) -> None:
        super().__init__(parent)
        self._most_lines = most_lines
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTabChangesFocus(True)
        self.document().documentLayout().documentSizeChanged.connect(self._grow)
        self._grow()

    def lines(self) -> int:
        """Return how many lines the text takes on the screen, up to one more than the limit."""
        # QPlainTextDocumentLayout measures in lines, and only what was laid out.
        shown, block = 0, self.document().begin()
        while block.isValid() and shown <= self._most_lines:
            shown += max(1, block.layout().lineCount())
            block = block.next()
        return max(1, shown)

    def sizeHint(self) -> QSize:
        return QSize(super().sizeHint().width(), self.wanted_height())

    def minimumSizeHint(self) -> QSize:
        return QSize(80, self.wanted_height())

    def wanted_height(self) -> int:
        """Return the height the text needs."""
        lines = min(self.lines(), self._most_lines)
        margins = self.contentsMargins()
        frame = 2 * self.frameWidth() + margins.top() + margins.bottom()
        room = 2 * int(self.document().documentMargin()) + frame + 16
        return lines * self.fontMetrics().lineSpacing() + room

    def _grow(self) -> None:
        over = self.lines() > self._most_lines
        policy = Qt.ScrollBarPolicy
        self.setVerticalScrollBarPolicy(
            policy.ScrollBarAsNeeded if over else policy.ScrollBarAlwaysOff
        )
        self.updateGeometry()

    def insertFromMimeData(self, source: QMimeData) -> None:
        if source.hasText():
            self.insertPlainText(source.text().replace("\r\n", "\n").replace("\r", "\n"))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if enter and event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.submitted.emit()
        elif event.key() == Qt.Key.Key_Escape:
            event.ignore()
        else:
            super().keyPressEvent(event)
