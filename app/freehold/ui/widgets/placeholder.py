"""A page whose turn has not come: what it will be, and what works today."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.cards import Card, KeyValue, rule, section_title
from freehold.ui.widgets.labels import text_label
from freehold.ui.widgets.scroll_page import ScrollPage


@dataclass(frozen=True, slots=True)
class Promise:
    """Something a later version brings to the page."""

    title: str
    text: str


class PlaceholderPage(ScrollPage):
    """Facts known today first, then what is planned, said as planned."""

    def __init__(
        self,
        theme: Theme,
        title: str,
        subtitle: str,
        coming: tuple[Promise, ...],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(title, subtitle, parent)
        self._theme = theme
        self.column.addWidget(section_title("What works today"))
        today = Card()
        self.facts = KeyValue()
        today.body.addWidget(self.facts)
        self.buttons = QHBoxLayout()
        self.buttons.addStretch(1)
        today.body.addLayout(self.buttons)
        self.column.addWidget(today)
        self.column.addWidget(section_title("Not there yet"))
        self.column.addWidget(_coming(coming))
        self.column.addStretch(1)

    def add_button(self, button: QPushButton) -> None:
        """Put a button under the facts."""
        self.buttons.insertWidget(self.buttons.count() - 1, button)


def _coming(promises: tuple[Promise, ...]) -> Card:
    card = Card()
    for number, promise in enumerate(promises):
        if number:
            card.body.addWidget(rule())
        words = QVBoxLayout()
        words.setSpacing(2)
        words.setContentsMargins(0, SIZES["space-half"], 0, SIZES["space-half"])
        words.addWidget(text_label(promise.title, "strong"))
        words.addWidget(text_label(promise.text, "muted", wrap=True))
        card.body.addLayout(words)
    return card
