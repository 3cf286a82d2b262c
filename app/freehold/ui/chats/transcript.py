"""The messages of the open chat: as many as are needed, in a column that keeps its place.

The newest messages are built first, upwards, in slices of a few milliseconds. Near the top, older
ones are built (or loaded); far from the reader, messages are taken down again, so that at most
`MOST_ALIVE` exist. What the reader looks at does not move, unless they are at the end and want to
stay there.
"""

from __future__ import annotations

import time
from typing import Final

import shiboken6
from PySide6.QtCore import QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QScrollArea, QWidget

from freehold.ui.chats.column import Column, Redrawing, author_of, float_over, make_jump_button
from freehold.ui.chats.message_view import AssistantMessage, MessageView, make_message_view
from freehold.ui.state.conversation import PAGE_MESSAGES, Conversation
from freehold.ui.state.reply import Reply
from freehold.ui.state.session import Session
from freehold.ui.theme import Theme
from freehold.wire import Message

MOST_ALIVE: Final = 200
SLICE_S: Final = 0.010
END_SLACK: Final = 24  # this near to the end counts as being there
NEAR: Final = 600  # this near to the top, older messages are built


class Transcript(QScrollArea):
    """The messages of a conversation.

    Signals:
        edit_saved(message id, text): a question was changed.
        citation_asked, citation_hovered, document_asked: see `MessageView`.
        settled: everything wanted is drawn.
    """

    edit_saved = Signal(str, str)
    citation_asked = Signal(str, int)
    citation_hovered = Signal(str, int, QPoint)
    document_asked = Signal(str)
    settled = Signal()

    def __init__(
        self,
        conversation: Conversation,
        session: Session,
        theme: Theme,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._conversation = conversation
        self._session = session
        self._theme = theme
        self._first = self._last = 0  # indexes of the first message alive and behind the last
        self._unfinished: list[MessageView] = []
        self._uncolored: list[MessageView] = []
        self._stick = True
        self._placing = False
        self._sought = ""  # the message to show when those around it are drawn
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)  # keeps the middle
        self.setAccessibleName("Messages")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.column = Column()
        self.column.setProperty("page", True)
        self.setWidget(self.column)
        self.jump_button = make_jump_button(theme, self.jump_to_latest, self)
        self._build_timer = QTimer(self)
        self._build_timer.setInterval(0)
        self._build_timer.timeout.connect(self._build)
        self._place_timer = QTimer(self)
        self._place_timer.setSingleShot(True)
        self._place_timer.setInterval(0)
        self._place_timer.timeout.connect(self.place_column)
        self.column.grew.connect(self._place_soon)
        self.verticalScrollBar().valueChanged.connect(self._on_scrolled)
        self.verticalScrollBar().rangeChanged.connect(self._on_range_changed)
        conversation.opened.connect(self._on_opened)
        conversation.found.connect(self.show_message)
        conversation.branch_changed.connect(self._on_branch_changed)
        conversation.older_loaded.connect(self._on_older_loaded)
        conversation.reply_changed.connect(self._follow_reply)
        session.engines_changed.connect(self._show_progress)
        theme.changed.connect(self._draw_again)

    # --- what is shown ---------------------------------------------------------------------------

    @property
    def views(self) -> list[MessageView]:
        """Return the messages alive, first to last."""
        return [part for part in self.column.parts if isinstance(part, MessageView)]

    @property
    def is_settled(self) -> bool:
        """Return whether nothing waits to be built or drawn."""
        return not self._build_timer.isActive() and not self._place_timer.isActive()

    @property
    def is_filled(self) -> bool:
        """Return whether what can be seen is drawn."""
        if self.is_settled:
            return True
        return not self._unfinished and self.column.height() >= self.viewport().height() > 0

    @property
    def at_end(self) -> bool:
        """Return whether the reader is at the end and stays there."""
        return self._stick

    def view_of(self, message_id: str) -> MessageView | None:
        """Return the view of a message, if it is alive."""
        return next((v for v in reversed(self.views) if v.message.id == message_id), None)

    def jump_to_latest(self) -> None:
        """Go to the end and stay there."""
        if self._last < len(self._conversation.messages):
            self._start(len(self._conversation.messages))
        self._stick = True
        self.place_column()

    def bring_into_view(self, view: MessageView) -> None:
        """Scroll until a message is seen, and stay with it."""
        self._stick = False
        self.place_column()
        self.ensureWidgetVisible(view, 0, 24)
        self._show_jump()

    def show_message(self, message_id: str) -> None:
        """Show a message and those around it; the last one stands at the end anyway."""
        place, count = self._conversation.place_of(message_id), len(self._conversation.messages)
        if place is not None and place < count - 1:
            self._stick, self._sought = False, message_id
            self._start(min(place + PAGE_MESSAGES // 2, count))

    def _show_sought(self) -> None:
        view, self._sought = self.view_of(self._sought), ""
        if view is not None:
            self.verticalScrollBar().setValue(view.y() - END_SLACK)

    def _on_opened(self) -> None:
        self._stick, self._sought = True, ""
        self._start(len(self._conversation.messages))

    def _start(self, last: int) -> None:
        """Take everything down and build upwards from before `last`."""
        for view in self.views:
            self.column.drop(view)
        self._unfinished.clear()
        self._uncolored.clear()
        self._first = self._last = last
        self._follow_reply()
        self._build_timer.start()
        self._build()

    def _on_branch_changed(self) -> None:
        """Keep the views of messages that are still there, in order, and make the others."""
        messages = self._conversation.messages
        views = self.views
        same, first = 0, self._conversation.place_of(views[0].message.id) if views else None
        if first is None:
            self._start(len(messages))
            return
        while (
            same < len(views)
            and first + same < len(messages)
            and views[same].message.id == messages[first + same].id
        ):
            self._renew(views[same], messages[first + same])
            same += 1
        for view in views[same:]:
            if view in self._unfinished:
                self._unfinished.remove(view)
            self.column.drop(view)
        self._first, self._last = first, first + same
        while self._last < len(messages):
            self._add(self._last)
            self._last += 1
        self._lock()
        self._follow_reply()
        self._build_timer.start()

    def _renew(self, view: MessageView, message: Message) -> None:
        reply = self._conversation.reply
        ahead = reply is not None and reply.id == message.id  # of what was read
        if not ahead and view.message != message:
            view.show_message(message)
            self._finish_later(view)
        view.show_versions(self._conversation.siblings)

    def _on_older_loaded(self, count: int) -> None:
        self._first += count
        self._last += count
        self._build_timer.start()

    # --- building --------------------------------------------------------------------------------

    def _build(self) -> None:
        """Draw and build for one slice; the rest waits for the next turn of the loop."""
        until = time.perf_counter() + SLICE_S
        while time.perf_counter() < until:
            if self._unfinished:
                if not self._unfinished[0].draw_step():
                    self._uncolored.append(self._unfinished.pop(0))
            elif self._wants_older():
                self._first -= 1
                self._add(self._first)
            elif self._wants_newer():
                self._add(self._last)
                self._last += 1
            elif not self._color_some():
                self._build_timer.stop()
                break
        self.place_column()
        if not self._build_timer.isActive():
            self._show_sought()
            self._take_down()
            self.settled.emit()

    def _color_some(self) -> bool:
        """Colour code, when all text is there; return whether more waits."""
        while self._uncolored:
            view = self._uncolored[0]
            if shiboken6.isValid(view) and view.color_step():
                return True
            self._uncolored.pop(0)
        return False

    def _wants_older(self) -> bool:
        if self._first == 0:
            if self._conversation.has_older and self._is_near_top():
                self._conversation.load_older()
            return False
        return self._last - self._first < PAGE_MESSAGES or self._is_near_top()

    def _is_near_top(self) -> bool:
        scrolled = self.verticalScrollBar().maximum() > 0
        return scrolled and self.verticalScrollBar().value() < NEAR and not self._stick

    def _wants_newer(self) -> bool:
        bar = self.verticalScrollBar()
        return self._last < len(self._conversation.messages) and bar.value() > bar.maximum() - NEAR

    def _add(self, index: int) -> None:
        message = self._conversation.messages[index]
        view = self._make(message)
        self.column.add(view, index - self._first)
        view.show()
        view.show_versions(self._conversation.siblings)
        view.footer.lock(self._conversation.busy)
        self._finish_later(view)

    def _finish_later(self, view: MessageView) -> None:
        if view not in self._unfinished:
            self._unfinished.append(view)
            self._build_timer.start()

    def _make(self, message: Message) -> MessageView:
        author = author_of(self._session, message)
        view = make_message_view(self._theme, message, author, self.column)
        view.regenerate_asked.connect(self._conversation.regenerate)
        view.version_asked.connect(self._conversation.select)
        view.edit_saved.connect(self.edit_saved)
        view.citation_asked.connect(self.citation_asked)
        view.citation_hovered.connect(self.citation_hovered)
        view.document_asked.connect(self.document_asked)
        view.edit_begun.connect(lambda: self.bring_into_view(view))
        return view

    def _take_down(self) -> None:
        """Take down what is far from the reader when too many messages are alive."""
        views = self.views
        spare = len(views) - MOST_ALIVE
        if spare <= 0:
            return
        middle = self.verticalScrollBar().value() + self.viewport().height() // 2
        from_top = middle > self.column.height() // 2
        anchor = self._anchor()
        for view in views[:spare] if from_top else views[-spare:]:
            reply = self._conversation.reply
            if reply is not None and view.message.id == reply.id:
                continue
            self.column.drop(view)
            if from_top:
                self._first += 1
            else:
                self._last -= 1
        self.place_column(anchor)

    # --- the reply under way ---------------------------------------------------------------------

    def _follow_reply(self) -> None:
        reply = self._conversation.reply
        self._lock()
        if reply is None or reply.property("followed"):
            return
        reply.setProperty("followed", True)
        reply.flush_due.connect(lambda: self._draw_reply(reply))
        reply.progress_changed.connect(self._show_progress)
        self._show_progress()

    def _draw_reply(self, reply: Reply) -> None:
        view = self.view_of(reply.id)
        if not isinstance(view, AssistantMessage):
            return
        began = time.perf_counter()
        view.draw_reply(reply)
        self.place_column()
        reply.note_render((time.perf_counter() - began) * 1000)
        self._show_progress()

    def _show_progress(self) -> None:
        reply = self._conversation.reply
        view = self.view_of(reply.id) if reply is not None else None
        if reply is None or not isinstance(view, AssistantMessage):
            return
        engines = {engine.ref: engine for engine in self._session.engines}
        engine = engines.get(view.message.model_ref)
        loading = engine is not None and engine.phase == "loading"
        view.show_progress(reply, round(100 * engine.fraction) if engine and loading else None)

    def _lock(self) -> None:
        for view in self.views:
            view.footer.lock(self._conversation.busy)

    def _draw_again(self) -> None:
        """Colours are baked in: draw everything again, what is seen first."""
        middle = self.verticalScrollBar().value() + self.viewport().height() // 2
        views = sorted(self.views, key=lambda view: abs(view.geometry().center().y() - middle))
        Redrawing(views, self).start()

    # --- keeping the place -----------------------------------------------------------------------

    def _anchor(self) -> tuple[QWidget, int] | None:
        """Return the first message seen and how far above the upper edge it begins."""
        top = self.verticalScrollBar().value()
        part = self.column.first_below(top)
        return None if part is None else (part, part.y() - top)

    def _place_soon(self) -> None:
        if not self._placing and not self._place_timer.isActive():
            self._place_timer.start()

    def place_column(self, anchor: tuple[QWidget, int] | None = None) -> None:
        """Give every message its place and keep the reader's."""
        self._place_timer.stop()
        if self._placing:
            return
        self._placing = True
        bar = self.verticalScrollBar()
        anchor = anchor or (None if self._stick else self._anchor())
        width = self.viewport().width()
        height = self.column.heightForWidth(width)
        self.column.resize(width, max(height, 1))
        self.column.place()
        if self._stick:
            bar.setValue(bar.maximum())
        elif anchor is not None and anchor[0] in self.column.parts:
            bar.setValue(anchor[0].y() - anchor[1])
        self._placing = False
        self._show_jump()

    def _on_scrolled(self, value: int) -> None:
        if self._placing:
            return
        self._stick = value >= self.verticalScrollBar().maximum() - END_SLACK and self._last >= len(
            self._conversation.messages
        )
        self._show_jump()
        if (self._is_near_top() or self._wants_newer()) and not self._build_timer.isActive():
            self._build_timer.start()

    def _on_range_changed(self, _least: int, most: int) -> None:
        if self._stick and not self._placing:
            self._placing = True
            self.verticalScrollBar().setValue(most)
            self._placing = False

    def _show_jump(self) -> None:
        self.jump_button.setVisible(not self._stick and self.verticalScrollBar().maximum() > 0)
        if not self.jump_button.isHidden():
            float_over(self.jump_button, self)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.place_column()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        bar = self.verticalScrollBar()
        if event.key() == Qt.Key.Key_End:
            self.jump_to_latest()
        elif event.key() == Qt.Key.Key_Home:
            bar.setValue(0)
        else:
            super().keyPressEvent(event)
