"""A model card's Markdown: drawn as answers are, as high as it needs in any layout."""

from __future__ import annotations

from PySide6.QtCore import QTimer
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QWidget

from freehold.ui.chats.body_view import BodyView
from freehold.ui.theme import Theme


class CardText(BodyView):
    """Shows the text of a model card."""

    def __init__(self, theme: Theme, text: str, parent: QWidget | None = None) -> None:
        super().__init__(theme, parent)
        self._settling = QTimer(self)
        self._settling.setSingleShot(True)
        self._settling.setInterval(0)
        self._settling.timeout.connect(self._settle)
        self.set_text(text)
        self.finish()
        self.draw()

    def child_grew(self) -> None:
        self._settling.start()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self._settling.start()

    def _settle(self) -> None:
        self.forget_height()
        height = self.heightForWidth(self.width())
        if height != self.height():
            self.setFixedHeight(height)
        self.place()
