"""The text of an answer as a column of segments, each drawn once when it is complete."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Final

from PySide6.QtCore import QPoint, QTimer, Signal
from PySide6.QtWidgets import QWidget

from freehold.ui.chats.code_view import CodeView
from freehold.ui.chats.prose_view import ProseView
from freehold.ui.chats.segment import Kind, Segment
from freehold.ui.chats.segmenter import Segmenter
from freehold.ui.chats.stack import Stack
from freehold.ui.chats.table_view import MarkdownTable
from freehold.ui.theme import Theme

SLICE_S: Final = 0.010
GAP: Final = 8
CARET: Final = "▍"


class BodyView(Stack):
    """Draws a text that may still grow; a long one is drawn in slices between events."""

    drawn = Signal()
    citation_asked = Signal(int)
    citation_hovered = Signal(int, QPoint)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent, gap=GAP)
        self._theme = theme
        self._segmenter = Segmenter()
        self._views: list[QWidget | None] = []
        self._text: list[str] = []
        self._length = 0
        self._numbers: frozenset[int] = frozenset()
        self._finished = False
        self._frozen_drawn = 0
        self._tail = ""
        self._uncolored: list[CodeView] = []  # code whose colours are not worked out yet
        self._timer = QTimer(self)
        self._timer.setInterval(0)
        self._timer.timeout.connect(lambda: self.draw())

    @property
    def text(self) -> str:
        """Return the whole text."""
        if len(self._text) > 1:
            self._text = ["".join(self._text)]
        return self._text[0] if self._text else ""

    @property
    def views(self) -> list[QWidget]:
        """Return the views of the segments drawn so far."""
        return [view for view in self._views if view is not None]

    def cite(self, numbers: Collection[int]) -> None:
        """Make chips of the marks of these citations."""
        self._numbers = frozenset(numbers)
        for view in self.views:
            if isinstance(view, ProseView):
                view.cite(self._numbers)

    def set_text(self, text: str) -> None:
        """Take the whole text as it is now: what is new is added, anything else starts over."""
        if self._finished and self._length == len(text) and self.text == text:
            return
        if self._finished or not text.startswith(self.text):
            self._start_over()
        fresh = text[self._length :]
        if fresh:
            self._text.append(fresh)
            self._length += len(fresh)
            self._segmenter.feed(fresh)

    def finish(self) -> None:
        """Take the text as complete."""
        if not self._finished:
            self._finished = True
            self._segmenter.finish()

    def step(self) -> bool:
        """Draw one segment or colour some code; return whether more waits."""
        return self.draw_next() or self.color_some()

    def color_some(self) -> bool:
        """Colour some code; return whether more waits."""
        while self._uncolored:
            if self._uncolored[0].color_step():
                return True
            self._uncolored.pop(0)
        return False

    def draw_next(self) -> bool:
        """Draw one segment; return whether another one waits."""
        if self._frozen_drawn < self._segmenter.frozen_count:
            index = self._frozen_drawn
            self._frozen_drawn += 1
            self._draw_segment(index, self._segmenter.segment(index))
            self._tail = ""
        elif not self._finished:
            tail = self._segmenter.segment(self._segmenter.frozen_count)
            if tail.text != self._tail:
                self._tail = tail.text
                self._draw_segment(self._segmenter.frozen_count, tail)
            return False
        if self._frozen_drawn < self._segmenter.frozen_count:
            return True
        self._drop_behind(self._frozen_drawn + (0 if self._finished else 1))
        return not self._finished and not self._tail

    def draw(self, budget_s: float = SLICE_S) -> bool:
        """Draw what waits, for a while; the rest follows by itself. Return whether all is drawn."""
        until = time.perf_counter() + budget_s
        while self.step():
            if time.perf_counter() > until:
                self._timer.start()
                return False
        self._timer.stop()
        self.drawn.emit()
        return True

    def draw_again(self) -> None:
        """Draw with the theme's present colours."""
        for view in self.views:
            if isinstance(view, ProseView | CodeView | MarkdownTable | BodyView):
                view.draw_again()

    # --- inside ----------------------------------------------------------------------------------

    def _start_over(self) -> None:
        self._drop_behind(0)
        self._segmenter = Segmenter()
        self._text, self._length = [], 0
        self._finished = False
        self._frozen_drawn, self._tail = 0, ""

    def _drop_behind(self, count: int) -> None:
        for view in self._views[count:]:
            if view is not None:
                self.drop(view)
                self._forget_colors(view)
        del self._views[count:]

    def _forget_colors(self, view: QWidget) -> None:
        self._uncolored = [code for code in self._uncolored if code is not view]

    def _draw_segment(self, index: int, segment: Segment) -> None:
        shown = segment.shown
        if segment.kind is Kind.PROSE and not shown.strip():
            self._put(index, None)
            return
        view = self._views[index] if index < len(self._views) else None
        if segment.kind is Kind.CODE:
            if not isinstance(view, CodeView):
                view = CodeView(self._theme, segment.language, self)
                self._put(index, view)
            view.show_code(shown, finished=segment.frozen)
            if view not in self._uncolored:
                self._uncolored.append(view)
        elif segment.kind is Kind.TABLE:
            if not isinstance(view, MarkdownTable):
                view = MarkdownTable(self._theme, self)
                self._put(index, view)
            view.show_table(segment.text, finished=segment.frozen)
        elif segment.kind is Kind.THINKING:
            self._draw_thinking(index, view, segment)
        else:
            if not isinstance(view, ProseView):
                view = ProseView(self._theme, self)
                view.citation_asked.connect(self.citation_asked)
                view.citation_hovered.connect(self.citation_hovered)
                self._put(index, view)
            view.cite(self._numbers)
            view.show_markdown(shown if segment.frozen else with_caret(shown))

    def _draw_thinking(self, index: int, view: QWidget | None, segment: Segment) -> None:
        from freehold.ui.chats.thinking_view import ThinkingView  # a fold holds a body of its own

        if not isinstance(view, ThinkingView):
            view = ThinkingView(self._theme, self)
            self._put(index, view)
        view.show_thinking(segment.shown, finished=segment.frozen)

    def _put(self, index: int, view: QWidget | None) -> None:
        while len(self._views) <= index:
            self._views.append(None)
        old = self._views[index]
        if old is view:
            return
        self._views[index] = view
        if old is not None:
            self.drop(old)
            self._forget_colors(old)
        if view is not None:
            before = sum(1 for other in self._views[:index] if other is not None)
            self.add(view, before)
            view.show()


def with_caret(text: str) -> str:
    """Return a growing text with the mark that shows where it goes on."""
    bare = text.rstrip()
    last = bare[-200:].split()[-1:]
    return f"{bare} {CARET}" if last and "://" in last[0] else f"{bare}{CARET}"
