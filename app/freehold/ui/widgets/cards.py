"""Frames that group what belongs together."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLayout,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from freehold.ui.theme import SIZES
from freehold.ui.widgets.labels import ElidedLabel, prose, text_label


class Card(QFrame):
    """A raised box with room inside; fill `body`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("card", True)
        self.body = QVBoxLayout(self)
        space = SIZES["space-2"]
        self.body.setContentsMargins(space + 4, space, space + 4, space)
        self.body.setSpacing(SIZES["space"])


def rule(parent: QWidget | None = None) -> QFrame:
    """Return a thin line between rows."""
    line = QFrame(parent)
    line.setProperty("rule", True)
    line.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return line


def section_title(text: str) -> QLabel:
    """Return the heading above a card."""
    label = text_label(text, "section")
    label.setContentsMargins(0, SIZES["space-2"], 0, 0)
    return label


class KeyValue(QWidget):
    """Names and values in two columns; values can be selected and give way to the width."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(SIZES["space-3"])
        self._grid.setVerticalSpacing(SIZES["space"])
        self._grid.setColumnStretch(1, 1)
        self._values: dict[str, ElidedLabel] = {}

    def set(self, key: str, value: str) -> None:
        """Show `value` under `key`, adding the row when it is new."""
        label = self._values.get(key)
        if label is None:
            label = ElidedLabel("", mode=Qt.TextElideMode.ElideMiddle)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            label.setAccessibleName(key)
            row = len(self._values)
            self._grid.addWidget(text_label(key, "muted"), row, 0)
            self._grid.addWidget(label, row, 1)
            self._values[key] = label
        label.setText(value)

    def value(self, key: str) -> str:
        """Return what is shown under `key`."""
        return self._values[key].text()


class SettingRow(QWidget):
    """A name, a sentence that explains it, and its control at the right."""

    def __init__(
        self, title: str, hint: str, control: QWidget | QLayout, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, SIZES["space-half"], 0, SIZES["space-half"])
        row.setSpacing(SIZES["space-3"])
        words = QVBoxLayout()
        words.setSpacing(2)
        self.title = text_label(title, "strong")
        self.hint = text_label(hint, "small", wrap=True)
        self.hint.setVisible(bool(hint))
        self.error = text_label("", "danger", wrap=True)
        self.error.hide()
        for label in (self.title, self.hint, self.error):
            words.addWidget(label)
        row.addLayout(words, 1)
        if isinstance(control, QWidget):
            self.title.setBuddy(control)
            row.addWidget(control, 0, Qt.AlignmentFlag.AlignVCenter)
        else:
            row.addLayout(control)

    def show_problem(self, text: str) -> None:
        """Say below the name what is wrong; an empty text takes it away."""
        self.error.setText(prose(text))
        self.error.setVisible(bool(text))
