"""Widgets below each other, each as high as its content needs at the width it gets.

Qt's own layouts would do, but not keep the reader's place: here heights are known before anything
moves, and a change runs once from the widget that grew to the column in the scroll area.
"""

from __future__ import annotations

from PySide6.QtCore import QMargins, QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QWidget


class Stack(QWidget):
    """A column of widgets; hidden ones take no room."""

    def __init__(
        self, parent: QWidget | None = None, *, gap: int = 0, margins: QMargins | None = None
    ) -> None:
        super().__init__(parent)
        self.gap = gap
        self.margins = margins or QMargins()
        self.parts: list[QWidget] = []
        self.outdents: dict[QWidget, int] = {}  # buttons whose sign, not edge, stands at the left
        self._known: tuple[int, int] | None = None
        self._placed_at = -1
        policy = QSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def add(self, part: QWidget, index: int | None = None) -> None:
        """Put a widget at `index`, or below the others."""
        if part.parentWidget() is not self:
            part.setParent(self)
        # A child made while its parent is on the screen stays hidden until it is shown.
        if not part.testAttribute(Qt.WidgetAttribute.WA_WState_ExplicitShowHide):
            part.show()
        self.parts.insert(len(self.parts) if index is None else index, part)
        self.changed()

    def drop(self, part: QWidget) -> None:
        """Take a widget away for good."""
        self.parts.remove(part)
        self.outdents.pop(part, None)
        part.hide()
        part.deleteLater()
        self.changed()

    def show_part(self, part: QWidget, shown: bool) -> None:
        """Show or hide one of the widgets."""
        if part.isHidden() == shown:
            part.setVisible(shown)
            self.changed()

    def changed(self) -> None:
        """Forget what was measured, here and above; the top of the column places everything."""
        height_changed(self)

    def forget_height(self) -> None:
        """Measure again when next asked."""
        self._known = None
        self._placed_at = -1

    def child_grew(self) -> None:
        """Hear that something inside has another height; the top of a column places it anew."""

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        if self._known is None or self._known[0] != width:
            inner = width - self.margins.left() - self.margins.right()
            shown = [part for part in self.parts if not part.isHidden()]
            height = sum(wanted_height(part, inner) for part in shown)
            height += self.gap * max(0, len(shown) - 1)
            self._known = (width, height + self.margins.top() + self.margins.bottom())
        return self._known[1]

    def sizeHint(self) -> QSize:
        return QSize(400, self.heightForWidth(max(self.width(), 200)))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.place()

    def place(self) -> None:
        """Give every widget its place; nothing is done when nothing changed."""
        width = self.width()
        if self._placed_at == width:
            return
        self._placed_at = width
        inner = width - self.margins.left() - self.margins.right()
        top = self.margins.top()
        for part in self.parts:
            if part.isHidden():
                continue
            height = wanted_height(part, inner)
            out = self.outdents.get(part, 0)
            part.setGeometry(self.margins.left() - out, top, inner + out, height)
            if isinstance(part, Stack):
                part.place()
            top += height + self.gap


def wanted_height(part: QWidget, width: int) -> int:
    """Return the height a widget needs at a width."""
    if part.hasHeightForWidth():
        return part.heightForWidth(width)
    layout = part.layout()
    if layout is not None and layout.hasHeightForWidth():
        return layout.heightForWidth(width)
    return part.sizeHint().height()


def height_changed(part: QWidget) -> None:
    """Tell everything around `part` that its height is another one."""
    place: QWidget | None = part
    while place is not None:
        if isinstance(place, Stack):
            place.forget_height()
            place.child_grew()
        place = place.parentWidget()
