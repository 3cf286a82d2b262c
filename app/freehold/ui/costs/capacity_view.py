"""How many people the loaded model serves here, at which context."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QVBoxLayout, QWidget

from freehold.ui.state.costs import CostsState
from freehold.ui.theme import SIZES
from freehold.ui.widgets.cards import Card
from freehold.ui.widgets.labels import text_label
from freehold.wire_power import Capacity

HEADS = ("Context each", "By memory", "By speed", "People at once")


class CapacityView(QWidget):
    """A row for each context, and the sentence that says what it comes to."""

    def __init__(self, state: CostsState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self.sentence = text_label("", "body", wrap=True)
        self.basis = text_label("", "small", wrap=True)
        self.table = QWidget()
        self._grid = QGridLayout(self.table)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(SIZES["space-4"])
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        card = Card()
        head = QHBoxLayout()
        head.addWidget(text_label("How many people it serves", "strong"))
        head.addStretch(1)
        head.addWidget(text_label("calculated", "chip"))
        card.body.addLayout(head)
        card.body.addWidget(self.sentence)
        card.body.addWidget(self.table)
        card.body.addWidget(self.basis)
        column.addWidget(card)
        state.capacity_changed.connect(self._show)

    def _show(self) -> None:
        found = self._state.capacity
        if found is None:
            return
        self.sentence.setText(found.sentence)
        self.basis.setText(basis_text(found))
        self.basis.setVisible(bool(found.rows))
        self.table.setVisible(bool(found.rows))
        while (item := self._grid.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        for at, head in enumerate(HEADS if found.rows else ()):
            self._grid.addWidget(text_label(head, "small"), 0, at)
        for number, row in enumerate(found.rows, 1):
            by_speed = "–" if row.by_speed is None else str(row.by_speed)
            texts = (
                f"{row.context_tokens // 1024}k",
                str(row.by_memory),
                by_speed,
                str(row.people) if row.by_speed is not None else "–",
            )
            for column, text in enumerate(texts):
                role = "strong" if column == len(texts) - 1 else "body"
                self._grid.addWidget(
                    text_label(text, role), number, column, Qt.AlignmentFlag.AlignLeft
                )
        self._grid.setColumnStretch(len(HEADS), 1)


def basis_text(found: Capacity) -> str:
    """Return what the figures rest on."""
    speed = (
        "its speed is not measured yet"
        if found.tokens_per_s is None
        else f"the highest speed measured today, {found.tokens_per_s:.1f} tokens/s"
    )
    return (
        f"{found.model}: by the context it is loaded with, and {speed} at"
        f" {found.tokens_per_person_s:.0f} tokens/s for each."
    )
