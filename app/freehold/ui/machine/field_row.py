"""Fields side by side."""

from __future__ import annotations

from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from freehold.ui.theme import SIZES
from freehold.ui.widgets.labels import text_label


def field_row(*fields: tuple[str, QWidget]) -> QHBoxLayout:
    """Return fields side by side, each under its name."""
    row = QHBoxLayout()
    row.setSpacing(SIZES["space-2"])
    for name, field in fields:
        column = QVBoxLayout()
        column.setSpacing(SIZES["space-half"])
        label = text_label(name, "small")
        label.setBuddy(field)
        column.addWidget(label)
        column.addWidget(field)
        column.addStretch(1)  # fields differ in height: names stand on one line
        row.addLayout(column)
    row.addStretch(1)
    return row
