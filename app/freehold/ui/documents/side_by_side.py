"""A chat with the reader beside it, or the reader alone where there is no room for both."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QSplitter, QWidget

from freehold.ui.documents.reader import LEAST_WIDTH

LEAST_CHAT: Final = 380
READER_SHARE: Final = 0.46


class SideBySide(QSplitter):
    """Two widgets; the second is shown and hidden, the first gives way where it is narrow."""

    def __init__(
        self,
        chat: QWidget,
        reader: QWidget,
        parent: QWidget | None = None,
        *,
        least: int = LEAST_CHAT,
    ) -> None:
        """Put them beside each other; `least` is the width the first one needs."""
        super().__init__(Qt.Orientation.Horizontal, parent)
        self._least = least
        self._chat, self._reader = chat, reader
        self._width = 0
        self.setHandleWidth(1)
        self.setChildrenCollapsible(False)
        self.addWidget(chat)
        self.addWidget(reader)
        self.setStretchFactor(0, 1)

    @property
    def is_narrow(self) -> bool:
        """Return whether there is room for one of the two alone."""
        return self.width() < self._least + LEAST_WIDTH

    def arrange(self) -> None:
        """Give both their room; call when the reader came or went."""
        shown = not self._reader.isHidden()
        self._chat.setVisible(not (shown and self.is_narrow))
        if shown and not self.is_narrow:
            reader = max(
                LEAST_WIDTH, min(round(self.width() * READER_SHARE), self.width() - self._least)
            )
            self.setSizes([self.width() - reader, reader])

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        shown = not self._reader.isHidden()
        if shown and self._chat.isHidden() != self.is_narrow:
            self.arrange()
