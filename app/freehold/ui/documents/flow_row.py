"""Buttons side by side that wrap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from PySide6.QtWidgets import QPushButton, QWidget

GAP: Final = 6


class FlowRow(QWidget):
    """As high as its rows of buttons need at a width."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.buttons: list[QPushButton] = []

    def show_buttons(self, buttons: Sequence[QPushButton]) -> None:
        """Show these buttons instead of the ones before."""
        for old in self.buttons:
            old.hide()
            old.deleteLater()
        self.buttons = list(buttons)
        for button in buttons:
            button.show()

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        return self._place(width, move=False)

    def _place(self, width: int, *, move: bool) -> int:
        left = top = row = 0
        for button in self.buttons:
            button.ensurePolished()
            size = button.sizeHint()
            size.setWidth(min(size.width(), max(60, width)))
            if left and left + size.width() > width:
                left, top, row = 0, top + row + GAP, 0
            if move:
                button.setGeometry(left, top, size.width(), size.height())
            left += size.width() + GAP
            row = max(row, size.height())
        return top + row

    def resizeEvent(self, event: object) -> None:
        self._place(self.width(), move=True)
