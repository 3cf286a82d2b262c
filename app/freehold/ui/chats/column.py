"""The column messages stand in, and how wide it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

import shiboken6
from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtWidgets import QPushButton, QWidget

from freehold.ui.chats.message_view import MessageView
from freehold.ui.chats.stack import Stack, wanted_height
from freehold.ui.state.session import Session
from freehold.ui.theme import Theme
from freehold.ui.widgets.buttons import push_button
from freehold.wire import Message

MESSAGE_WIDTH: Final = 800  # a longer line is hard to read
SIDE: Final = 24
SLICE_S: Final = 0.010


class Column(Stack):
    """Messages in the middle of the page, at most `MESSAGE_WIDTH` wide."""

    grew = Signal()

    def child_grew(self) -> None:
        self.grew.emit()

    def first_below(self, top: int) -> QWidget | None:
        """Return the first part that reaches below a height."""
        seen = (p for p in self.parts if p.geometry().bottom() >= top and p.height() > 1)
        return next(seen, None)

    def message_width(self, width: int) -> int:
        """Return how wide messages are in a column of `width`."""
        return max(200, min(MESSAGE_WIDTH, width - 2 * SIDE))

    def heightForWidth(self, width: int) -> int:
        inner = self.message_width(width)
        return 12 + sum(part.heightForWidth(inner) for part in self.parts) + 24

    def place(self) -> None:
        inner = self.message_width(self.width())
        left, top = (self.width() - inner) // 2, 12
        for part in self.parts:
            height = wanted_height(part, inner)
            part.setGeometry(left, top, inner, height)
            if isinstance(part, Stack):
                part.place()
            top += height


def author_of(session: Session, message: Message) -> str:
    """Return the name of the model that wrote a message."""
    names = {model.ref: model.name for model in session.models}
    return names.get(message.model_ref) or message.model_ref or "Assistant"


def make_jump_button(theme: Theme, clicked: Callable[[], object], parent: QWidget) -> QPushButton:
    """Return the hidden button that leads back to the newest message."""
    button = push_button(theme, "Jump to latest", clicked, icon="arrow-down", parent=parent)
    button.setProperty("floating", True)
    button.hide()
    return button


def float_over(button: QWidget, area: QWidget) -> None:
    """Put a button at the lower edge of an area, above what it shows."""
    button.adjustSize()
    left = (area.width() - button.width()) // 2
    button.move(left, area.height() - button.height() - 12)
    button.raise_()


class Redrawing(QTimer):
    """Draws messages again in the given order, a few milliseconds at a time; then it is gone."""

    def __init__(self, views: Sequence[MessageView], parent: QObject) -> None:
        super().__init__(parent)
        self._waiting = list(views)
        self.setInterval(0)
        self.timeout.connect(self._step)

    def _step(self) -> None:
        until = time.perf_counter() + SLICE_S
        while self._waiting and time.perf_counter() < until:
            view = self._waiting.pop(0)
            if shiboken6.isValid(view):
                view.draw_again()
        if not self._waiting:
            self.stop()
            self.deleteLater()
