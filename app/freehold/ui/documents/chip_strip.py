"""The chips above the composer: they wrap, and scroll when they would take too much room.

Only the chips that are seen exist, so that hundreds of files cost no more than a dozen. Once a
question was asked they fold into one line, since the documents stay in scope.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from PySide6.QtCore import QRect, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QFontMetrics, QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from freehold.ui.documents.chip import Chip, chip_size
from freehold.ui.documents.words import counted
from freehold.ui.icons import set_icon
from freehold.ui.state.attachments import Attachment
from freehold.ui.theme import Theme
from freehold.ui.widgets.buttons import push_button
from freehold.ui.widgets.labels import text_label

GAP: Final = 8
MOST_HEIGHT: Final = 176  # more than three rows scroll
MADE_AT_ONCE: Final = 6
AROUND: Final = 48  # pixels above and below what is seen whose chips exist too


class _Flow(QScrollArea):
    """Places for chips side by side, wrapping; chips where they are seen."""

    removed = Signal(str)
    opened = Signal(str)

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme = theme
        self._items: dict[str, Attachment] = {}
        self._places: dict[str, QRect] = {}
        self.chips: dict[str, Chip] = {}
        self._metrics = QFontMetrics(theme.font("small"))
        self._later = QTimer(self, singleShot=True, interval=0)
        self._later.timeout.connect(self._make_seen)
        self._inside = QWidget()
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(self._inside)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.verticalScrollBar().valueChanged.connect(self._make_seen)

    def show_items(self, items: Sequence[Attachment], width: int) -> None:
        """Give every item its place in a width, and those that are seen a chip."""
        self._items = {item.key: item for item in items}
        height = self._place(width)
        if height > MOST_HEIGHT:
            bar = self.verticalScrollBar().sizeHint().width()
            height = self._place(width - bar)
        self._inside.resize(max(1, width), max(1, height))
        self.setFixedHeight(max(1, min(height, MOST_HEIGHT)))
        for key in self.chips.keys() - self._items.keys():
            self._drop(key)
        self._make_seen()

    def bring(self, key: str) -> Chip:
        """Return an item's chip, scrolled to where it is seen. Raises: KeyError."""
        place = self._places[key]
        self.verticalScrollBar().setValue(place.top() - GAP)
        while key not in self.chips:
            self._make_seen()
        return self.chips[key]

    def _place(self, width: int) -> int:
        """Give every item its place; return the height."""
        left = top = row = 0
        self._places = {}
        for item in self._items.values():
            size = chip_size(item, self._metrics)
            if left and left + size.width() > width:
                left, top, row = 0, top + row + GAP, 0
            self._places[item.key] = QRect(left, top, size.width(), size.height())
            left += size.width() + GAP
            row = max(row, size.height())
        return top + row

    def _make_seen(self) -> None:
        """Give chips to the items that are seen, a few at a time: the window must go on."""
        made = 0
        top = self.verticalScrollBar().value() - AROUND
        bottom = top + min(MOST_HEIGHT, max(self.height(), 1)) + 2 * AROUND
        for key, place in self._places.items():
            chip = self.chips.get(key)
            if place.bottom() < top or place.top() > bottom:
                if chip is not None and not chip.hasFocus():
                    self._drop(key)
                continue
            if chip is None and made == MADE_AT_ONCE:
                self._later.start()
                continue
            if chip is None:
                made += 1
                chip = self.chips[key] = Chip(self._theme, self._items[key], self._inside)
                chip.removed.connect(self.removed)
                chip.opened.connect(self.opened)
                chip.show()
            elif chip.item != self._items[key]:
                chip.show_item(self._items[key])
            chip.setGeometry(place)

    def _drop(self, key: str) -> None:
        chip = self.chips.pop(key)
        chip.hide()
        chip.deleteLater()


class ChipStrip(QFrame):
    """Signals: removed(key), opened(key): of a chip."""

    removed = Signal(str)
    opened = Signal(str)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._items: tuple[Attachment, ...] = ()
        self._folded = False
        self.setAccessibleName("Documents of this chat")
        self.area = _Flow(theme, self)
        self.area.removed.connect(self.removed)
        self.area.opened.connect(self.opened)
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
        self.hide()

    @property
    def items(self) -> tuple[Attachment, ...]:
        """Return what is shown, seen or not."""
        return self._items

    @property
    def chips(self) -> list[Chip]:
        """Return the chips that exist, in order."""
        known = self.area.chips
        return [known[item.key] for item in self._items if item.key in known]

    @property
    def is_folded(self) -> bool:
        """Return whether the chips are one line."""
        return self._folded

    def chip(self, key: str) -> Chip:
        """Return an item's chip, scrolled to where it is seen."""
        return self.area.bring(key)

    def show_items(self, items: Sequence[Attachment]) -> None:
        """Show these attachments; chips whose attachment is the same stay as they are."""
        old, self._items = self._items, tuple(items)
        keys = {item.key for item in items}
        if keys - {item.key for item in old} or failed_keys(items) - failed_keys(old):
            self._folded = False  # what is new is seen
        self._arrange()
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

    def _arrange(self) -> None:
        many = len(self._items) > 3 or self._folded
        self.fold_button.setVisible(many)
        self.summary.setVisible(many)
        self.area.setVisible(not self._folded)
        self._say()
        self.area.show_items(() if self._folded else self._items, max(120, self.width()))
        self.updateGeometry()

    def _say(self) -> None:
        failed = len(failed_keys(self._items))
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
