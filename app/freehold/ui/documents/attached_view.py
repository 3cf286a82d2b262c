"""The documents that came with a question, above it."""

from __future__ import annotations

from functools import partial
from typing import Final

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QPushButton, QWidget

from freehold.ui.chats.tips import plain_tip
from freehold.ui.documents.flow_row import FlowRow
from freehold.ui.documents.words import icon_of
from freehold.ui.icons import set_icon
from freehold.ui.theme import Theme
from freehold.wire_grounds import AttachedDocument

MOST_NAME: Final = 34
MOST_SHOWN: Final = 12


class AttachedView(FlowRow):
    """Small chips by name. Signals: asked(document id): it was clicked."""

    asked = Signal(str)

    def __init__(
        self, theme: Theme, documents: tuple[AttachedDocument, ...], parent: QWidget
    ) -> None:
        super().__init__(parent)
        self._theme = theme
        buttons = [self._button(document) for document in documents[:MOST_SHOWN]]
        if len(documents) > MOST_SHOWN:
            more = QPushButton(f"and {len(documents) - MOST_SHOWN:,} more", self)
            more.setProperty("attached", True)
            more.setEnabled(False)
            buttons.append(more)
        self.show_buttons(buttons)

    def _button(self, document: AttachedDocument) -> QPushButton:
        button = QPushButton(f" {shortened(document.name, MOST_NAME)}", self)
        button.setProperty("attached", True)
        button.setAutoDefault(False)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.setAccessibleName(f"Document {document.name}")
        button.setToolTip(plain_tip(document.name))
        set_icon(button, self._theme, icon_of(document.kind, document.name), "accent")
        if document.kind != "collection":
            button.setCursor(Qt.CursorShape.PointingHandCursor)
            button.clicked.connect(partial(self.asked.emit, document.id))
        return button


def shortened(name: str, most: int) -> str:
    """Return a name with its middle left out where it is long, fit for a button."""
    if len(name) > most:
        name = f"{name[: most - 10]}…{name[-9:]}"
    return f"\u2068{name}\u2069".replace("&", "&&")
