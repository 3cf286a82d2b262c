"""The chips above the composer: they wrap, and scroll when they would take too much room.

Once a question was asked they fold into one line, since the documents stay in scope.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from freehold.ui.documents.chip import Chip
from freehold.ui.documents.words import counted
from freehold.ui.icons import set_icon
from freehold.ui.state.attachments import Attachment
from freehold.ui.theme import Theme
from freehold.ui.widgets.buttons import push_button
from freehold.ui.widgets.labels import text_label

GAP: Final = 8
MOST_HEIGHT: Final = 176  # more than three rows scroll
MADE_AT_ONCE: Final = 6


class _Flow(QWidget):
    """Widgets side by side, wrapping; as high as its rows need."""

    def __init__(self) -> None:
        super().__init__()
        self.chips: list[Chip] = []

    def place(self, width: int) -> int:
        """Give every chip its place in a width; return the height."""
        left = top = row_height = 0
        for chip in self.chips:
            height = chip.wanted_height()
            if left and left + chip.width() > width:
                left, top, row_height = 0, top + row_height + GAP, 0
            chip.setGeometry(left, top, chip.width(), height)
            left += chip.width() + GAP
            row_height = max(row_height, height)
        height = top + row_height
        self.setFixedSize(max(width, 1), max(height, 1))
        return height


class ChipStrip(QFrame):
    """Signals: removed(key), opened(key): of a chip."""

    removed = Signal(str)
    opened = Signal(str)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._items: tuple[Attachment, ...] = ()
        self._chips: dict[str, Chip] = {}
        self._folded = False
        self.setAccessibleName("Documents of this chat")
        self._flow = _Flow()
        self.area = QScrollArea(self)
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.setWidget(self._flow)
        self.area.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.fold_button = push_button(theme, "", self.toggle, kind="quiet", icon="chevron-down")
        self.fold_button.setProperty("foldChips", True)
        self.summary = text_label("", "small", parent=self)
        line = QHBoxLayout()
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(8)
        line.addWidget(self.fold_button)
        line.addWidget(self.summary, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 6)
        column.setSpacing(4)
        column.addLayout(line)
        column.addWidget(self.area)
        self._maker = QTimer(self)
        self._maker.setInterval(0)
        self._maker.timeout.connect(self._make_some)
        self.hide()

    @property
    def chips(self) -> list[Chip]:
        """Return the chips in order."""
        return list(self._flow.chips)

    @property
    def is_folded(self) -> bool:
        """Return whether the chips are one line."""
        return self._folded

    def show_items(self, items: Sequence[Attachment]) -> None:
        """Show these attachments; chips whose attachment is the same stay as they are."""
        old, self._items = self._items, tuple(items)
        keys = {item.key for item in items}
        for key in self._chips.keys() - keys:
            chip = self._chips.pop(key)
            self._flow.chips.remove(chip)
            chip.hide()
            chip.deleteLater()
        if keys - {item.key for item in old} or failed_keys(items) - failed_keys(old):
            self._folded = False  # what is new is seen
        for item in items:
            shown = self._chips.get(item.key)
            if shown is not None and shown.item != item:
                shown.show_item(item)
        self._make_some()
        self.setVisible(bool(items))

    def fold(self) -> None:
        """Become one line, when nothing is being read."""
        if not any(item.is_busy for item in self._items):
            self._folded = True
            self._arrange()

    def toggle(self) -> None:
        """Show the chips, or one line."""
        self._folded = not self._folded
        self._arrange()

    def _make_some(self) -> None:
        """Make a few chips at a time: hundreds of files must not stop the window."""
        made = 0
        for item in self._items:
            if item.key in self._chips:
                continue
            if made == MADE_AT_ONCE:
                self._maker.start()
                break
            chip = Chip(self._theme, item, self._flow)
            chip.removed.connect(self.removed)
            chip.opened.connect(self.opened)
            chip.show()
            self._chips[item.key] = chip
            made += 1
        else:
            self._maker.stop()
        self._flow.chips = [self._chips[i.key] for i in self._items if i.key in self._chips]
        self._arrange()

    def _arrange(self) -> None:
        many = len(self._items) > 3 or self._folded
        self.fold_button.setVisible(many)
        self.summary.setVisible(many)
        self.area.setVisible(not self._folded)
        self._say()
        bar = self.area.verticalScrollBar().sizeHint().width()
        width = max(120, self.width())
        height = self._flow.place(width)
        if height > MOST_HEIGHT:
            height = min(MOST_HEIGHT, self._flow.place(width - bar))
        self.area.setFixedHeight(max(1, height))
        self.updateGeometry()

    def _say(self) -> None:
        failed = sum(item.failure is not None for item in self._items)
        reading = sum(item.is_busy for item in self._items)
        count = counted(len(self._items), "document")
        set_icon(self.fold_button, self._theme, "chevron-right" if self._folded else "chevron-down")
        self.fold_button.setIconSize(QSize(16, 16))
        self.fold_button.setText(f" {count} in this chat")
        self.fold_button.setAccessibleName(f"{count} in this chat")
        parts = [f"{reading:,} being read"] if reading else []
        parts += [f"{failed:,} not read"] if failed else []
        self.summary.setText(" · ".join(parts))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self._arrange()


def failed_keys(items: Sequence[Attachment]) -> set[str]:
    """Return the keys of those that cannot be used."""
    return {item.key for item in items if item.failure is not None}
