"""A question to the person, awaited without stopping the window."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCheckBox, QDialog, QHBoxLayout, QVBoxLayout, QWidget

from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.buttons import Kind, push_button
from freehold.ui.widgets.labels import text_label


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer: its key and the words on its button."""

    key: str
    text: str
    kind: Kind = "plain"


@dataclass(frozen=True, slots=True)
class Answer:
    """What was chosen ("" when the dialog was closed), and the tick of the check box."""

    key: str
    ticked: bool = False


class Question(QDialog):
    """A dialog with a heading, text, an optional check box and a button for each choice."""

    def __init__(
        self,
        theme: Theme,
        title: str,
        text: str,
        choices: Sequence[Choice],
        *,
        tick: str = "",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.setModal(True)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, True)
        self.setMinimumWidth(460)
        self.setAccessibleName(title)
        self.setAccessibleDescription(text)
        self.answer = Answer("")
        column = QVBoxLayout(self)
        space = SIZES["space-3"]
        column.setContentsMargins(space, space, space, space)
        column.setSpacing(SIZES["space"])
        column.addWidget(text_label(title, "section", wrap=True))
        column.addWidget(text_label(text, "muted", wrap=True))
        self.tick = QCheckBox(tick)
        self.tick.setVisible(bool(tick))
        if tick:
            column.addSpacing(SIZES["space"])
            column.addWidget(self.tick)
        column.addSpacing(SIZES["space-2"])
        row = QHBoxLayout()
        row.setSpacing(SIZES["space"])
        row.addStretch()
        for choice in choices:
            button = push_button(
                theme, choice.text, partial(self.choose, choice.key), kind=choice.kind
            )
            button.setObjectName(choice.key)
            row.addWidget(button)
            if choice.kind == "primary":
                button.setDefault(True)
                button.setFocus()
        column.addLayout(row)

    def choose(self, key: str) -> None:
        """Answer with `key` and close."""
        self.answer = Answer(key, self.tick.isChecked())
        self.accept()


async def ask(
    theme: Theme,
    parent: QWidget,
    title: str,
    text: str,
    choices: Sequence[Choice],
    *,
    tick: str = "",
) -> Answer:
    """Show the question over `parent` and return the answer."""
    dialog = Question(theme, title, text, choices, tick=tick, parent=parent)
    answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def finished(_result: int) -> None:
        if not answered.done():
            answered.set_result(dialog.answer)

    dialog.finished.connect(finished)
    dialog.open()
    try:
        return await answered
    except asyncio.CancelledError:
        dialog.reject()
        raise
