"""A column of many cards of which only those near the screen exist.

The cards that leave the screen are filled anew for the rows that come: a page with 500 models holds
as many widgets as one with twenty, and a change of the theme costs the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final, Generic, TypeVar

from PySide6.QtCore import QEvent, QObject, QPoint, Qt, QTimer
from PySide6.QtGui import QResizeEvent, QShowEvent
from PySide6.QtWidgets import QApplication, QScrollArea, QSizePolicy, QWidget

from freehold.ui.theme import SIZES

Card = TypeVar("Card", bound=QWidget)

GAP: Final = 12
FIRST_GUESS: Final = 96
AROUND: Final = 400  # pixels above and below the screen whose cards exist too


class VirtualColumn(QWidget, Generic[Card]):
    """Shows `keys` in order inside a scroll area."""

    def __init__(
        self,
        area: QScrollArea,
        make: Callable[[str], Card],
        fill: Callable[[Card, str], None] | None = None,
        parent: QWidget | None = None,
    ) -> None:
        """Make an empty column; `make` builds a card, `fill` shows another row in one.

        Without `fill` cards that leave the screen are deleted.
        """
        super().__init__(parent)
        self._area, self._make, self._fill = area, make, fill
        self._keys: tuple[str, ...] = ()
        self._cards: dict[str, Card] = {}
        self._heights: dict[str, int] = {}
        self._guess = FIRST_GUESS
        self._placing = False
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(0)
        self._later.timeout.connect(self.place)
        area.verticalScrollBar().valueChanged.connect(self.place)
        area.viewport().installEventFilter(self)

    @property
    def keys(self) -> tuple[str, ...]:
        """Return every row, on the screen or not."""
        return self._keys

    @property
    def cards(self) -> dict[str, Card]:
        """Return the cards that exist now, by key, in no order."""
        return dict(self._cards)

    def show_keys(self, keys: Sequence[str]) -> None:
        """Show these rows; cards of rows that stay are kept."""
        self._keys = tuple(keys)
        known = set(self._keys)
        for key in self._heights.keys() - known:
            del self._heights[key]
        self.place()

    def refresh(self, key: str) -> None:
        """Fill the card of a row again, if it has one."""
        card = self._cards.get(key)
        if card is not None and self._fill is not None:
            self._fill(card, key)
            self._later.start()

    def clear(self) -> None:
        """Show nothing, and forget every card: what is shown under a key next may differ."""
        self._keys = ()
        self._heights.clear()
        self.place()

    def card(self, key: str) -> Card:
        """Return the card of a row, bringing it onto the screen if it has none.

        Raises: KeyError for a row that is not shown.
        """
        if key not in self._cards:
            page = self._area.widget()
            assert page is not None
            place = self.mapTo(page, QPoint(0, self._tops()[self._keys.index(key)]))
            self._area.verticalScrollBar().setValue(place.y() - SIZES["space-4"])
            self.place()
        if key not in self._cards:  # the page is not on the screen: there is no room to be in
            self._bind(key, [])
        return self._cards[key]

    def place(self) -> None:
        """Bring what is near the screen into being, at its place."""
        if self._placing:
            self._later.start()
            return
        self._placing = True
        try:
            self._drop_strangers()
            self._place()
        finally:
            self._placing = False

    # --- inside --------------------------------------------------------------------------

    def _drop_strangers(self) -> None:
        known = set(self._keys)
        for key in [key for key in self._cards if key not in known]:
            self._delete(key)

    def _delete(self, key: str) -> None:
        card = self._cards.pop(key)
        card.hide()
        card.deleteLater()

    def _place(self) -> None:
        # Heights are known once the cards exist; twice is enough for the guess to come right.
        for _ in range(3):
            tops = self._tops()
            wanted = self._near(tops)
            spare = [key for key in self._cards if key not in wanted and not self._is_held(key)]
            for key in [key for key in wanted if key not in self._cards]:
                self._bind(key, spare)
            for key in spare:
                if self._fill is None:
                    self._delete(key)
                else:
                    self._cards[key].hide()
            if not self._measure(wanted):
                break
        place = dict(zip(self._keys, self._tops(), strict=True))
        total = sum(self._height(key) + GAP for key in self._keys) - GAP
        self.setFixedHeight(max(0, total))
        for key in wanted:
            card = self._cards[key]
            card.setGeometry(0, place[key], self.width(), self._height(key))
            card.show()
        self._order(wanted)

    def _bind(self, key: str, spare: list[str]) -> None:
        """Give a row a card: one that is no longer needed, or a new one."""
        if spare and self._fill is not None:
            card = self._cards.pop(spare.pop())
            self._fill(card, key)
        else:
            card = self._make(key)
            card.setParent(self)
            card.installEventFilter(self)
        self._cards[key] = card

    def _measure(self, wanted: list[str]) -> bool:
        """Take the heights of the cards that exist; return whether one was another."""
        changed = False
        for key in wanted:
            height = _height_of(self._cards[key], self.width())
            if self._heights.get(key) != height:
                changed = changed or self._height(key) != height
                self._heights[key] = height
        if wanted and changed:
            known = sorted(self._heights.values())
            self._guess = known[len(known) // 2]
        return changed

    def _tops(self) -> list[int]:
        top, tops = 0, []
        for key in self._keys:
            tops.append(top)
            top += self._height(key) + GAP
        return tops

    def _height(self, key: str) -> int:
        return self._heights.get(key, self._guess)

    def _near(self, tops: list[int]) -> list[str]:
        viewport = self._area.viewport()
        first = self.mapFrom(viewport, QPoint(0, 0)).y() - AROUND
        last = first + viewport.height() + 2 * AROUND
        return [
            key
            for key, top in zip(self._keys, tops, strict=True)
            if top <= last and top + self._height(key) >= first
        ]

    def _is_held(self, key: str) -> bool:
        """Return whether a card has the focus or its menu is open: it is not taken away."""
        focus = QApplication.focusWidget()
        popup = QApplication.activePopupWidget()
        card = self._cards[key]
        return any(widget is not None and card.isAncestorOf(widget) for widget in (focus, popup))

    def _order(self, wanted: list[str]) -> None:
        """Let the Tab key go down the column, whatever order the cards were made in."""
        stops: list[QWidget] = []
        for key in wanted:
            stops += [
                child
                for child in self._cards[key].findChildren(QWidget)
                if child.focusPolicy() & Qt.FocusPolicy.TabFocus
            ]
        for before, after in pairwise(stops):
            if before.nextInFocusChain() is not after:
                QWidget.setTabOrder(before, after)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self._heights.clear()
            self.place()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._later.start()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self._area.viewport():
            if event.type() == QEvent.Type.Resize:
                self._later.start()
        elif event.type() == QEvent.Type.LayoutRequest and not self._placing:
            self._later.start()
        return False


def _height_of(card: QWidget, width: int) -> int:
    card.ensurePolished()
    layout = card.layout()
    if layout is not None:
        layout.activate()
    height = card.heightForWidth(width) if card.hasHeightForWidth() else -1
    return height if height > 0 else card.sizeHint().height()
