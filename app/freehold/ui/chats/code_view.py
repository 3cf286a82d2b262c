"""A block of code: its language, a copy button, colours, and no more height than is useful."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QGuiApplication, QKeyEvent, QTextCursor, QTextOption, QWheelEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QScrollBar,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from freehold.ui.chats.highlighting import CodeHighlighter
from freehold.ui.chats.stack import height_changed
from freehold.ui.theme import Theme

SHOWN_LINES: Final = 30
SPARE_LINES: Final = 8  # a block hardly longer than the limit is shown whole
LONGEST_LINE_CHARS: Final = 5_000
BAR_HEIGHT: Final = 34
PADDING: Final = 12
TEXT_EDGES: Final = 18  # above and below the lines, as the style sheet has it


class CodeText(QPlainTextEdit):
    """Code that scrolls sideways only; up and down belongs to the transcript."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("code", True)
        self.setReadOnly(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.setWordWrapMode(QTextOption.WrapMode.NoWrap)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setUndoRedoEnabled(False)
        self.document().setDocumentMargin(0)
        self.setFont(theme.mono_font())
        self.setTabStopDistance(4 * self.fontMetrics().horizontalAdvance(" "))
        self.viewport().setAutoFillBackground(False)

    def wheelEvent(self, event: QWheelEvent) -> None:
        sideways = event.angleDelta().x() != 0 or bool(
            event.modifiers() & Qt.KeyboardModifier.ShiftModifier
        )
        if sideways and self.horizontalScrollBar().maximum():
            super().wheelEvent(event)
        else:
            event.ignore()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            super().keyPressEvent(event)
        else:
            event.ignore()


class CodeView(QFrame):
    """One block of code."""

    def __init__(self, theme: Theme, language: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("codeBlock", True)
        self._text = ""
        self._shown = ""  # the text, but for what is cut off very long lines
        self._finished = False
        self._expanded = False
        self._edit = CodeText(theme, self)
        self._highlighter = CodeHighlighter(self._edit.document(), theme, language)
        self._label = QLabel(language or "text", self)
        self._label.setProperty("role", "small")
        self._copy = QToolButton(self)
        self._copy.setText("Copy")
        self._copy.setAccessibleName("Copy code")
        self._copy.clicked.connect(self.copy)
        self._more = QToolButton(self)
        self._more.setProperty("expand", True)
        self._more.clicked.connect(self._toggle)
        self._more.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._more.hide()
        bar = QHBoxLayout()
        bar.setContentsMargins(PADDING, 2, 4, 0)
        bar.addWidget(self._label)
        bar.addStretch()
        bar.addWidget(self._copy)
        column = QVBoxLayout(self)
        column.setContentsMargins(1, 1, 1, 1)
        column.setSpacing(0)
        column.addLayout(bar)
        column.addWidget(self._edit, 1)
        column.addWidget(self._more)
        self._edit.horizontalScrollBar().rangeChanged.connect(lambda *_: height_changed(self))

    @property
    def text(self) -> str:
        """Return the code."""
        return self._text

    @property
    def scroll_bar(self) -> QScrollBar:
        """Return the bar that scrolls sideways."""
        return self._edit.horizontalScrollBar()

    def show_code(self, text: str, *, finished: bool) -> None:
        """Show the code as far as it came; what was shown before is only added to."""
        self._text, shown = text, clip_lines(text)
        if shown != self._shown:
            if self._shown and shown.startswith(self._shown):
                self._append(shown[len(self._shown) :])
            else:
                self._edit.setPlainText(shown)
            self._shown = shown
            if not finished:
                self._highlighter.follow(shown)
        if finished and not self._finished:
            self._finished = True
            self._highlighter.finish(shown)
        self._limit()

    def color_step(self) -> bool:
        """Colour for a moment; return whether more waits."""
        return self._highlighter.step()

    def draw_again(self) -> None:
        """Draw with the theme's present colours."""
        self._highlighter.draw_again()

    def copy(self) -> None:
        """Copy the code."""
        QGuiApplication.clipboard().setText(self._text)
        self._copy.setText("Copied")
        # Reset when the pointer leaves: no timer that outlives the view.

    def leaveEvent(self, event: object) -> None:
        self._copy.setText("Copy")

    def _append(self, text: str) -> None:
        cursor = QTextCursor(self._edit.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        cursor.insertText(text)

    def _toggle(self) -> None:
        self._expanded = not self._expanded
        self._limit()

    def _limit(self) -> None:
        lines = self._edit.blockCount()
        long = lines > SHOWN_LINES + SPARE_LINES
        self._more.setVisible(long)
        self._more.setText("Show less" if self._expanded else f"Show all {lines:,} lines")
        bar = self._edit.verticalScrollBar()
        if long and not self._expanded and not self._finished:
            bar.setValue(bar.maximum())  # while it is written, its end is what matters
        else:
            bar.setValue(0)
        height_changed(self)

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        lines = self._edit.blockCount()
        if lines > SHOWN_LINES + SPARE_LINES and not self._expanded:
            lines = SHOWN_LINES
        text = lines * self._edit.fontMetrics().lineSpacing() + TEXT_EDGES
        if self._edit.horizontalScrollBar().maximum() > 0:
            text += self._edit.horizontalScrollBar().sizeHint().height()
        more = self._more.sizeHint().height() if not self._more.isHidden() else 0
        return BAR_HEIGHT + text + more + 2

    def sizeHint(self) -> QSize:
        return QSize(400, self.heightForWidth(400))


def clip_lines(text: str) -> str:
    """Return the text with lines cut that Qt would take seconds to lay out."""
    if len(text) <= LONGEST_LINE_CHARS:
        return text
    lines = text.split("\n")
    if all(len(line) <= LONGEST_LINE_CHARS for line in lines):
        return text
    return "\n".join(
        line if len(line) <= LONGEST_LINE_CHARS else f"{line[:LONGEST_LINE_CHARS]} …"
        for line in lines
    )
