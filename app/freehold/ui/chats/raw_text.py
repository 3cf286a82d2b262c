"""A message's own text in a window of its own, to select from and search in."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QDialog, QHBoxLayout, QPlainTextEdit, QVBoxLayout, QWidget

from freehold.ui.theme import Theme
from freehold.ui.widgets.buttons import push_button


def show_raw_text(theme: Theme, text: str, parent: QWidget) -> QDialog:
    """Open a window with the text as it was written."""
    dialog = QDialog(parent)
    dialog.setWindowTitle("Message text")
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.resize(760, 560)
    edit = QPlainTextEdit(dialog)
    edit.setReadOnly(True)
    edit.setFont(theme.mono_font())
    edit.setPlainText(text)
    edit.setAccessibleName("Message text")
    column = QVBoxLayout(dialog)
    column.setContentsMargins(16, 16, 16, 16)
    column.addWidget(edit)
    row = QHBoxLayout()
    row.addStretch()
    row.addWidget(push_button(theme, "Copy all", lambda: QGuiApplication.clipboard().setText(text)))
    row.addWidget(push_button(theme, "Close", dialog.close, kind="primary"))
    column.addLayout(row)
    edit.setFocus(Qt.FocusReason.OtherFocusReason)
    dialog.show()
    return dialog
