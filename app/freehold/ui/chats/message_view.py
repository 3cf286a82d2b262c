"""One message of the transcript: who, what, and what can be done with it."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from typing import Final

from PySide6.QtCore import QMargins, QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFrame, QHBoxLayout, QToolButton, QVBoxLayout, QWidget

from freehold.ui.chats.body_view import BodyView
from freehold.ui.chats.code_view import CodeView
from freehold.ui.chats.edit_box import EditBox
from freehold.ui.chats.footer import Footer
from freehold.ui.chats.notices import DOING, FailureCard, WaitingLine, progress_text
from freehold.ui.chats.prose_view import ProseView
from freehold.ui.chats.raw_text import show_raw_text
from freehold.ui.chats.stack import Stack
from freehold.ui.chats.thinking_view import ThinkingView
from freehold.ui.documents.attached_view import AttachedView
from freehold.ui.documents.proof_view import ProofView
from freehold.ui.state.reply import BUSY, Reply
from freehold.ui.theme import Theme
from freehold.ui.widgets.labels import text_label
from freehold.wire import Message

QUESTION_CHARS: Final = 3_000  # more of a question is shown on demand
QUESTION_LINES: Final = 24
LARGEST_CHARS: Final = 100_000
VIEW_GAP: Final = 6
ICON_EDGE: Final = 7


class MessageView(Stack):
    """A message.

    Signals: regenerate_asked(id), version_asked(id), edit_saved(id, text); edit_begun;
    citation_asked(id, number), citation_hovered(id, number or 0, place on the screen);
    document_asked(document id).
    """

    regenerate_asked = Signal(str)
    version_asked = Signal(str)
    edit_saved = Signal(str, str)
    edit_begun = Signal()
    citation_asked = Signal(str, int)
    citation_hovered = Signal(str, int, QPoint)
    document_asked = Signal(str)

    def __init__(self, theme: Theme, message: Message, author: str, parent: QWidget) -> None:
        super().__init__(parent, gap=VIEW_GAP, margins=QMargins(0, 10, 0, 10))
        self.theme = theme
        self.message = message
        self.author = text_label(author, "strong", parent=self)
        self.author.setAccessibleName(f"{author} {clock(message.created_at)}")
        self._time = text_label(clock(message.created_at), "small", parent=self)
        head = QWidget(self)
        row = QHBoxLayout(head)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self.author)
        row.addWidget(self._time)
        row.addStretch()
        self.add(head)
        self.footer = Footer(theme, message.role, head if message.role == "user" else self)
        if message.role == "user":
            row.addWidget(self.footer)
        self.footer.copy_asked.connect(self.copy)
        self.footer.raw_asked.connect(self.show_raw)
        self.footer.version_asked.connect(self.version_asked)

    def draw_step(self) -> bool:
        """Draw a piece of the message; return whether more of it waits."""
        return False

    def color_step(self) -> bool:
        """Colour some of the message's code; return whether more waits."""
        return False

    def show_message(self, message: Message) -> None:
        """Show the message as it is now."""
        self.message = message

    def show_versions(self, siblings: Mapping[str, tuple[str, ...]]) -> None:
        """Show arrows where the message has other versions."""
        self.footer.show_versions(siblings.get(self.message.id, ()), self.message.id)

    def copy(self) -> None:
        """Copy the message as it was written."""
        QGuiApplication.clipboard().setText(self.message.content)

    def show_raw(self) -> None:
        """Show the message's text to select from."""
        show_raw_text(self.theme, self.message.content, self.window())

    def draw_again(self) -> None:
        """Draw with the theme's present colours."""


class UserMessage(MessageView):
    """A question: plain text in a bubble, which can be edited."""

    def __init__(self, theme: Theme, message: Message, parent: QWidget) -> None:
        super().__init__(theme, message, "You", parent)
        self._whole = False
        self.bubble = Stack(self, gap=4, margins=QMargins(14, 10, 14, 10))
        self.bubble.setProperty("bubble", True)
        self.bubble.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.text = ProseView(theme, self.bubble)
        self.bubble.add(self.text)
        self._more = QToolButton(self.bubble)
        self._more.setProperty("expand", True)
        self._more.clicked.connect(self._toggle)
        self.bubble.add(self._more)
        self.attached: AttachedView | None = None
        if message.attached:
            self.attached = AttachedView(theme, message.attached, self)
            self.attached.asked.connect(self.document_asked)
            self.add(self.attached)
        self.add(self.bubble)
        self.editor: EditBox | None = None
        self.footer.edit_asked.connect(self.edit)
        self.show_message(message)

    def show_message(self, message: Message) -> None:
        super().show_message(message)
        content = message.content
        lines = content.count("\n") + 1
        long = len(content) > QUESTION_CHARS or lines > QUESTION_LINES
        shown = content[:LARGEST_CHARS]
        if long and not self._whole:
            shown = "\n".join(content[:QUESTION_CHARS].split("\n")[:QUESTION_LINES]) + " …"
        elif len(content) > LARGEST_CHARS:
            shown += " …"
        self.text.show_plain(shown)
        self._more.setText("Show less" if self._whole else f"Show all {len(content):,} characters")
        self.bubble.show_part(self._more, long)

    def edit(self) -> None:
        """Change the question in place; it becomes another version when saved."""
        if self.editor is not None:
            self.editor.box.setFocus()
            return
        self.editor = EditBox(self.theme, self.message.content, self)
        self.editor.saved.connect(self._on_saved)
        self.editor.cancelled.connect(self.end_edit)
        self.add(self.editor, self.parts.index(self.bubble))
        self.editor.show()
        self.show_part(self.bubble, False)
        self.footer.setEnabled(False)
        self.editor.box.setFocus()
        self.edit_begun.emit()

    def end_edit(self) -> None:
        """Leave the editor without saving."""
        if self.editor is not None:
            self.drop(self.editor)
            self.editor = None
        self.show_part(self.bubble, True)
        self.footer.setEnabled(True)

    def draw_again(self) -> None:
        self.text.draw_again()

    def _on_saved(self, text: str) -> None:
        self.edit_saved.emit(self.message.id, text)

    def _toggle(self) -> None:
        self._whole = not self._whole
        self.show_message(self.message)


class AssistantMessage(MessageView):
    """An answer, complete or being written."""

    def __init__(self, theme: Theme, message: Message, author: str, parent: QWidget) -> None:
        super().__init__(theme, message, author, parent)
        self.thinking: ThinkingView | None = None
        self.proof: ProofView | None = None
        self.body = BodyView(theme, self)
        self.body.citation_asked.connect(self._ask_citation)
        self.body.citation_hovered.connect(self._hover_citation)
        self.add(self.body)
        self._tools = Stack(self, gap=6)
        self.add(self._tools)
        self.waiting = WaitingLine(self)
        self.add(self.waiting)
        self.failure: FailureCard | None = None
        self.add(self.footer)
        self.outdents[self.footer] = ICON_EDGE
        self.footer.regenerate_asked.connect(lambda: self.regenerate_asked.emit(self.message.id))
        self.reply: Reply | None = None
        self.show_message(message)

    def show_message(self, message: Message) -> None:
        super().show_message(message)
        busy = message.status in BUSY
        self._show_thinking(message.reasoning, finished=not busy or bool(message.content))
        self._show_proof(message)
        self.body.set_text(message.content)
        if not busy:
            self.body.finish()
        self._show_tools(message)
        self.show_part(self.waiting, busy)
        self.show_part(self.footer, not busy)
        self._show_failure(message)
        self.footer.show_stats(message)

    def draw_step(self) -> bool:
        return self.body.draw_next()

    def color_step(self) -> bool:
        return self.body.color_some()

    def follow(self, reply: Reply) -> None:
        """Show a reply as it grows."""
        self.reply = reply

    def draw_reply(self, reply: Reply) -> None:
        """Draw what came since the last time."""
        if reply.is_final:
            self.show_message(reply.message)
        else:
            if reply.reasoning:
                self._show_thinking(reply.reasoning, finished=bool(reply.content))
            self.body.set_text(reply.content)
        self.body.draw()

    def show_progress(self, reply: Reply, load_percent: int | None) -> None:
        """Say what a reply without text is doing, or how fast it is written."""
        progress, fraction = reply.progress, None
        if progress is not None and progress.phase == "loading" and load_percent is not None:
            fraction = load_percent / 100
        elif progress is not None and progress.phase in DOING and progress.total:
            fraction = progress.done / progress.total
        words = progress_text(progress, load_percent, reply.tokens_per_s, reply.left_s)
        self.waiting.say(words, fraction)

    def draw_again(self) -> None:
        self.body.draw_again()
        if self.thinking is not None:
            self.thinking.draw_again()
        if self.failure is not None:
            self.failure.show_failure(self.message)
        if self.proof is not None:
            self.proof.draw_again()

    def _show_proof(self, message: Message) -> None:
        grounds = message.grounds
        self.body.cite([c.number for c in grounds.citations] if grounds is not None else ())
        if grounds is not None and self.proof is None:
            self.proof = ProofView(self.theme, self)
            self.proof.asked.connect(self._ask_citation)
            self.proof.hovered.connect(self._hover_citation)
            self.add(self.proof, self.parts.index(self.body) + 1)
            self.proof.show()
        if self.proof is not None:
            self.show_part(self.proof, grounds is not None)
            if grounds is not None:
                self.proof.show_grounds(grounds)
        is_bare = grounds is not None and grounds.is_absent and len(message.content) < 80
        self.show_part(self.body, not is_bare)  # "Not in the documents." is what the proof says

    def _ask_citation(self, number: int) -> None:
        self.citation_asked.emit(self.message.id, number)

    def _hover_citation(self, number: int, place: QPoint) -> None:
        self.citation_hovered.emit(self.message.id, number, place)

    def _show_thinking(self, text: str, *, finished: bool) -> None:
        if not text:
            if self.thinking is not None:
                self.drop(self.thinking)
                self.thinking = None
            return
        if self.thinking is None:
            self.thinking = ThinkingView(self.theme, self)
            self.add(self.thinking, self.parts.index(self.body))
            self.thinking.show()
        self.thinking.show_thinking(text, finished=finished)

    def _show_tools(self, message: Message) -> None:
        if len(self._tools.parts) != len(message.tool_calls):
            for part in list(self._tools.parts):
                self._tools.drop(part)
            for call in message.tool_calls:
                card = ToolCard(self.theme, tool_name(call), json.dumps(call, indent=2), self)
                self._tools.add(card)
                card.show()
        self.show_part(self._tools, bool(message.tool_calls))

    def _show_failure(self, message: Message) -> None:
        wrong = message.status in ("failed", "interrupted")
        if wrong and self.failure is None:
            retry = lambda: self.regenerate_asked.emit(self.message.id)  # noqa: E731
            self.failure = FailureCard(self.theme, retry, self)
            self.add(self.failure, self.parts.index(self.footer))
            self.failure.show()
        if self.failure is not None:
            if wrong:
                self.failure.show_failure(message)
            self.show_part(self.failure, wrong)


class ToolMessage(MessageView):
    """What a tool answered, folded."""

    def __init__(self, theme: Theme, message: Message, parent: QWidget) -> None:
        super().__init__(theme, message, "Tool", parent)
        self.footer.hide()
        self.add(ToolCard(theme, "Result of a tool", message.content, self))


class ToolCard(QFrame):
    """A tool call or its result as it is, folded until asked for."""

    def __init__(self, theme: Theme, title: str, raw: str, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme, self._raw, self._title = theme, raw, title
        self.setProperty("toolCard", True)
        self._fold = QToolButton(self)
        self._fold.setProperty("fold", True)
        self._fold.clicked.connect(self._toggle)
        self._code: CodeView | None = None
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(6, 4, 6, 4)
        self._column.addWidget(self._fold)
        self._name()

    def _toggle(self) -> None:
        if self._code is None:
            self._code = CodeView(self._theme, "json", self)
            self._code.show_code(self._raw[:LARGEST_CHARS], finished=True)
            self._colors = QTimer(self._code)
            self._colors.setInterval(0)
            self._colors.timeout.connect(self._color)
            self._colors.start()
            self._column.addWidget(self._code)
            self._code.hide()
        self._code.setVisible(self._code.isHidden())
        self._name()
        parent = self.parentWidget()
        if isinstance(parent, Stack):
            parent.changed()

    def _color(self) -> None:
        if self._code is None or not self._code.color_step():
            self._colors.stop()

    def _name(self) -> None:
        shown = self._code is not None and not self._code.isHidden()
        self._fold.setText(f"{'▾' if shown else '▸'}  {self._title}")

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        code = self._code
        inner = 0 if code is None or code.isHidden() else code.heightForWidth(width - 12) + 6
        return self._fold.sizeHint().height() + 10 + inner


def make_message_view(theme: Theme, message: Message, author: str, parent: QWidget) -> MessageView:
    """Return the view of a message, by its role."""
    if message.role == "user":
        return UserMessage(theme, message, parent)
    if message.role == "tool":
        return ToolMessage(theme, message, parent)
    return AssistantMessage(theme, message, author, parent)


def tool_name(call: dict[str, object]) -> str:
    """Return the name of the tool a call asks for."""
    function = call.get("function")
    name = function.get("name") if isinstance(function, dict) else call.get("name")
    return f"Called the tool {name}" if name else "Called a tool"


def clock(created_at: float) -> str:
    """Return when a message was written: the hour today, the date before."""
    if not created_at:
        return ""
    then = datetime.datetime.fromtimestamp(created_at).astimezone()
    now = datetime.datetime.now().astimezone()
    if then.date() == now.date():
        return f"{then:%H:%M}"
    return f"{then.day} {then:%b %H:%M}" if then.year == now.year else f"{then.day} {then:%b %Y}"
