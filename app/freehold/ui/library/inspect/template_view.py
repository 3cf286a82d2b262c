"""A model's chat template, alone or beside another model's."""

from __future__ import annotations

import asyncio
from typing import Final

from PySide6.QtGui import QColor, QGuiApplication, QTextCharFormat, QTextCursor, QTextFormat
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QPlainTextEdit, QVBoxLayout, QWidget

from freehold.errors import AppError
from freehold.ui.state.session import Session
from freehold.ui.tasks import spawn
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.buttons import push_button
from freehold.ui.widgets.labels import text_label
from freehold.wire_files import DiffLine, ModelAnatomy, TemplateComparison

BASE: Final = "base"
MARKS: Final = {"same": "  ", "added": "+ ", "removed": "− ", "gap": ""}
GAP: Final = "   ⋯"


class TemplateView(QWidget):
    """Shows the template; the list compares it with a relative, any model here, or the original."""

    def __init__(self, session: Session, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        self._anatomy: ModelAnatomy | None = None
        self._comparison: TemplateComparison | None = None
        self._task: asyncio.Task[None] | None = None
        self.other = QComboBox()
        self.other.setAccessibleName("Compare the chat template with")
        self.other.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.other.setMinimumContentsLength(34)
        self.words = text_label("", "small", wrap=True)
        self.problem = text_label("", "danger", wrap=True)
        self.problem.hide()
        self.copy = push_button(theme, "Copy", self._copy, kind="quiet", icon="copy")
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.text.setAccessibleName("Chat template")
        head = QHBoxLayout()
        head.setSpacing(SIZES["space"])
        head.addWidget(text_label("Compare with", "muted"))
        head.addWidget(self.other)
        head.addStretch(1)
        head.addWidget(self.copy)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, SIZES["space-2"])
        column.setSpacing(SIZES["space"])
        column.addLayout(head)
        column.addWidget(self.words)
        column.addWidget(self.problem)
        column.addWidget(self.text, 1)
        self.other.activated.connect(self._choose)
        theme.changed.connect(self._draw)

    def show_anatomy(self, anatomy: ModelAnatomy) -> None:
        """Show a model's template, compared with nothing."""
        self._anatomy, self._comparison = anatomy, None
        self.problem.hide()
        self.other.clear()
        self.other.addItem("Nothing", "")
        if anatomy.base:
            self.other.addItem(f"The original: {anatomy.base} (asks the hub)", BASE)
        known = {model.ref for model in self._session.models}
        for ref in anatomy.relatives:
            self.other.addItem(f"{ref} (same model)", ref)
        for ref in sorted(known - {anatomy.ref, *anatomy.relatives}, key=str.casefold):
            self.other.addItem(ref, ref)
        self.other.setEnabled(bool(anatomy.chat_template))
        self.copy.setEnabled(bool(anatomy.chat_template))
        self._draw()

    def compare_with(self, other: str) -> None:
        """Compare with a model of the library or the original; "" compares with nothing."""
        place = self.other.findData(other)
        if place >= 0:
            self.other.setCurrentIndex(place)
            self._choose()

    def _choose(self) -> None:
        other = str(self.other.currentData() or "")
        if self._task is not None and not self._task.done():
            self._task.cancel()
        self.problem.hide()
        self._comparison = None
        if not other:
            self._draw()
            return
        self.words.setText("Comparing…")
        self._task = spawn(self, self._compare(other), failed=self._show_problem)

    async def _compare(self, other: str) -> None:
        assert self._anatomy is not None
        found = await self._session.client.files.compare_templates(self._anatomy.ref, other)
        self._comparison = found
        self._draw()

    def _show_problem(self, error: AppError) -> None:
        self._draw()
        self.problem.setText(error.sentence)
        self.problem.show()

    def _copy(self) -> None:
        if self._anatomy is not None:
            QGuiApplication.clipboard().setText(self._anatomy.chat_template)

    # --- drawing -------------------------------------------------------------------------

    def _draw(self) -> None:
        anatomy, found = self._anatomy, self._comparison
        self.text.setFont(self._theme.mono_font())
        if anatomy is None:
            return
        self.words.setText(template_words(anatomy, found))
        self.text.clear()
        if found is None or found.same:
            self.text.setPlainText(anatomy.chat_template)
            return
        cursor = self.text.textCursor()
        cursor.beginEditBlock()
        for number, line in enumerate(found.lines):
            if number:
                cursor.insertBlock()
            self._write(cursor, line)
        cursor.endEditBlock()
        cursor.movePosition(QTextCursor.MoveOperation.Start)
        self.text.setTextCursor(cursor)

    def _write(self, cursor: QTextCursor, line: DiffLine) -> None:
        block, letters = cursor.blockFormat(), QTextCharFormat()
        block.setBackground(self._background(line.kind))
        block.setProperty(QTextFormat.Property.FullWidthSelection, True)
        letters.setForeground(self._theme.color("text-faint" if line.kind == "gap" else "text"))
        cursor.setBlockFormat(block)
        cursor.setCharFormat(letters)
        text = GAP if line.kind == "gap" else f"{MARKS[line.kind]}{line.text}"
        cursor.insertText(text)

    def _background(self, kind: str) -> QColor:
        names = {"added": "success-soft", "removed": "danger-soft"}
        return self._theme.color(names.get(kind, "surface"))


def template_words(anatomy: ModelAnatomy, found: TemplateComparison | None) -> str:
    """Return what stands above the template."""
    if not anatomy.chat_template:
        return (
            "This file has no chat template. For a chat a plain one is used; models that only make"
            " embeddings need none."
        )
    if found is not None and found.same:
        return f"The same as that of {found.other}."
    if found is not None:
        return (
            f"Compared with {found.other}: {_lines(found.added)} more (+),"
            f" {_lines(found.removed)} less (−). Between changes (⋯) both are the same."
        )
    lines = anatomy.chat_template.strip("\n").count("\n") + 1
    more = f" It also holds: {', '.join(anatomy.templates)}." if anatomy.templates else ""
    return f"{_lines(lines)}. It turns a chat into the text that the model reads.{more}"


def _lines(count: int) -> str:
    return "1 line" if count == 1 else f"{count:,} lines"
