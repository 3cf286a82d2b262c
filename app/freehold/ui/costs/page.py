"""The Costs page before its turn: what can be reckoned today, and where."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from freehold.ui.theme import Theme
from freehold.ui.widgets.placeholder import PlaceholderPage, Promise

COMING = (
    Promise(
        "What each answer cost",
        "Energy per answer, measured where the machine has a meter, and said to be an estimate"
        " where it has none.",
    ),
    Promise("The month", "Kilowatt-hours, money and machine hours by model and by person."),
    Promise(
        "Own or rent",
        "When the machine has paid for itself against subscriptions or an API, for your team.",
    ),
)


class CostsPage(PlaceholderPage):
    """Says plainly that nothing is metered yet."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(
            theme,
            "Costs",
            "What owning your models costs, and whether it pays. This page comes in a later"
            " version; nothing is metered or charged in the meantime.",
            COMING,
            parent,
        )
        self.facts.set("Speed and tokens", "shown under every answer in Chats")
        self.facts.set("Own or rent, on the command line", "freehold cost own-or-rent --help")
