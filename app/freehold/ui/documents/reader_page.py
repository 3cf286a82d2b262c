"""A page as it looks, drawn by the server: scrolls, and turns where it ends."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QImage, QPixmap, QWheelEvent
from PySide6.QtWidgets import QFrame, QLabel, QScrollArea, QWidget

MARGIN: Final = 16
PAST_END: Final = 240  # so much wheel at the end of a page turns it


class ReaderPage(QScrollArea):
    """Signals: turn_asked(step): the wheel went on past the end of the page."""

    turn_asked = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("pages")
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setAccessibleName("Page of the document")
        self.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.setWidgetResizable(False)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.picture = QLabel()
        self.picture.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
        self.setWidget(self.picture)
        self._share: float | None = None
        self._past = 0
        self._from_end = False

    def page_width(self, width: int) -> int:
        """Return how many pixels of the screen a page at 100 % takes in a view of a width."""
        room = width - self.verticalScrollBar().sizeHint().width() - 2 * MARGIN - 8
        return max(0, round(room * self.devicePixelRatioF()))

    def show_picture(self, image: QImage, share: float | None) -> None:
        """Show a page; `share` is how far down it the mark is, which is brought into view."""
        ratio = self.devicePixelRatioF()
        drawn = QPixmap.fromImage(image)
        drawn.setDevicePixelRatio(ratio)
        self.picture.setPixmap(drawn)
        size = QSize(round(image.width() / ratio), round(image.height() / ratio))
        self.picture.resize(size + QSize(2 * MARGIN, 2 * MARGIN))
        self._share, self._past = share, 0
        self._place()

    def _place(self) -> None:
        bar = self.verticalScrollBar()
        if self._share is not None:
            middle = MARGIN + self._share * (self.picture.height() - 2 * MARGIN)
            bar.setValue(round(middle - self.viewport().height() / 2))
        else:
            bar.setValue(bar.maximum() if self._from_end else 0)
        self._from_end = False

    def wheelEvent(self, event: QWheelEvent) -> None:
        bar = self.verticalScrollBar()
        delta = event.angleDelta().y()
        at_end = bar.value() >= bar.maximum() if delta < 0 else bar.value() <= 0
        if not at_end or event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self._past = 0
            super().wheelEvent(event)
            return
        self._past += abs(delta)
        if self._past >= PAST_END:
            self._past = 0
            self._from_end = delta > 0
            self.turn_asked.emit(1 if delta < 0 else -1)
        event.accept()

    def clear(self) -> None:
        """Show nothing."""
        self.picture.setPixmap(QPixmap())
        self.picture.resize(QSize(1, 1))
