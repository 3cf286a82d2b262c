"""What a model thought before it answered: folded away when it is done."""

from __future__ import annotations

import time

from PySide6.QtCore import QMargins, Qt
from PySide6.QtWidgets import QHBoxLayout, QToolButton, QWidget

from freehold.ui.chats.body_view import BodyView
from freehold.ui.chats.stack import Stack
from freehold.ui.theme import Theme
from freehold.units import format_duration


class ThinkingView(Stack):
    """A fold: open while the model thinks, closed afterwards, unless the person said otherwise."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent, gap=2)
        self._theme = theme
        self._text = ""
        self._began: float | None = None
        self._spent_s: float | None = None
        self._finished = False
        self._chosen = False
        self._fold = QToolButton(self)
        self._fold.setProperty("fold", True)
        self._fold.setCheckable(True)
        self._fold.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._fold.clicked.connect(self._on_clicked)
        fold = _LeftAligned(self._fold, self)
        self.add(fold)
        self.outdents[fold] = 5
        self._body: BodyView | None = None
        self._frame = Stack(self, margins=QMargins(14, 0, 0, 6))
        self._frame.setProperty("thinking", True)
        self._frame.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.add(self._frame)
        self.show_part(self._frame, False)
        self._name_fold()

    @property
    def is_open(self) -> bool:
        """Return whether the thinking is shown."""
        return not self._frame.isHidden()

    @property
    def title(self) -> str:
        """Return what the fold says."""
        return self._fold.text()

    def show_thinking(self, text: str, *, finished: bool) -> None:
        """Show the thinking as far as it came."""
        if self._began is None and not finished:
            self._began = time.monotonic()
        if finished and not self._finished and self._began is not None:
            self._spent_s = time.monotonic() - self._began
        self._text, self._finished = text, finished
        if not self._chosen:
            self.show_part(self._frame, not finished)
        self._name_fold()
        self._draw()

    def draw_again(self) -> None:
        """Draw with the theme's present colours."""
        if self._body is not None:
            self._body.draw_again()

    def _on_clicked(self) -> None:
        self._chosen = True
        self.show_part(self._frame, not self.is_open)
        self._name_fold()
        self._draw()

    def _draw(self) -> None:
        if not self.is_open:
            return
        if self._body is None:
            self._body = BodyView(self._theme, self._frame)
            self._frame.add(self._body)
            self._body.show()
        self._body.set_text(self._text)
        if self._finished:
            self._body.finish()
        self._body.draw()

    def _name_fold(self) -> None:
        if not self._finished:
            title = "Thinking…"
        elif self._spent_s is not None:
            title = f"Thought for {format_duration(max(self._spent_s, 1))}"
        else:
            title = "Thinking"
        self._fold.setText(f"{'▾' if self.is_open else '▸'}  {title}")
        self._fold.setChecked(self.is_open)
        self._fold.setAccessibleName(title)


class _LeftAligned(QWidget):
    """Gives a button its own width instead of the column's."""

    def __init__(self, button: QToolButton, parent: QWidget) -> None:
        super().__init__(parent)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(button)
        row.addStretch()
