"""The editor inside a question."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent, QTextCursor
from PySide6.QtWidgets import QHBoxLayout, QWidget

from freehold.ui.chats.growing_edit import GrowingEdit
from freehold.ui.chats.stack import Stack
from freehold.ui.theme import Theme
from freehold.ui.widgets.buttons import push_button
from freehold.ui.widgets.labels import text_label


class EditBox(Stack):
    """The editor inside a question. Signals: saved(text), cancelled."""

    saved = Signal(str)
    cancelled = Signal()

    def __init__(self, theme: Theme, text: str, parent: QWidget) -> None:
        super().__init__(parent, gap=6)
        self.box = GrowingEdit(self, most_lines=16)
        self.box.setAccessibleName("Edit your message")
        self.box.setPlainText(text)
        self.box.moveCursor(QTextCursor.MoveOperation.End)
        self.add(self.box)
        row = QWidget(self)
        buttons = QHBoxLayout(row)
        buttons.setContentsMargins(0, 0, 0, 0)
        buttons.addWidget(
            text_label("Saved as a new version; the old one stays.", "small", parent=row), 1
        )
        buttons.addWidget(push_button(theme, "Cancel", self.cancelled.emit, parent=row))
        self.save_button = push_button(theme, "Send", self.save, kind="primary", parent=row)
        self.save_button.setToolTip("Ctrl+Enter")
        buttons.addWidget(self.save_button)
        self.add(row)
        self.box.submitted.connect(self.save)
        self.box.textChanged.connect(self.changed)

    def save(self) -> None:
        """Send what is in the editor."""
        if self.box.toPlainText().strip():
            self.saved.emit(self.box.toPlainText())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.cancelled.emit()
        else:
            super().keyPressEvent(event)
