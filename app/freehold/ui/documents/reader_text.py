"""A document's text in the reader: headings and tables set apart, the cited sentence boxed."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import (
    QFont,
    QPainter,
    QPaintEvent,
    QPen,
    QSyntaxHighlighter,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
)
from PySide6.QtWidgets import QPlainTextEdit, QTextEdit, QWidget

from freehold.ui.state.reading import Shown
from freehold.ui.theme import Theme

PAD: Final = 3
HEADING_SCALE: Final = (1.5, 1.3, 1.15, 1.05)


class _Looks(QSyntaxHighlighter):
    """Makes headings and tables of Markdown look like what they are; changes no character."""

    def __init__(self, document: QTextDocument, theme: Theme) -> None:
        super().__init__(document)
        self._theme = theme

    def highlightBlock(self, text: str) -> None:
        form = QTextCharFormat()
        if text.startswith("#"):
            level = min(len(text) - len(text.lstrip("#")), len(HEADING_SCALE))
            form.setFontWeight(QFont.Weight.DemiBold)
            form.setFontPointSize(self._theme.font().pointSizeF() * HEADING_SCALE[level - 1])
            self.setFormat(0, len(text), form)
            form = QTextCharFormat(form)
            form.setForeground(self._theme.color("text-disabled"))
            self.setFormat(0, level, form)
        elif text.lstrip().startswith("|"):
            form.setFontFamilies([self._theme.mono_font().family(), "monospace"])
            form.setFontFixedPitch(True)
            form.setFontPointSize(self._theme.mono_font().pointSizeF() * 0.95)
            self.setFormat(0, len(text), form)


class ReaderText(QPlainTextEdit):
    """Read-only text with a box around what is marked."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._mark: tuple[int, int] | None = None
        self.setObjectName("readerText")
        self.setReadOnly(True)
        self.setAccessibleName("Text of the document")
        self.setUndoRedoEnabled(False)
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse
            | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self._looks = _Looks(self.document(), theme)
        theme.changed.connect(self._draw_again)

    @property
    def marked_text(self) -> str:
        """Return what is boxed."""
        if self._mark is None:
            return ""
        return self._cursor(*self._mark).selectedText().replace("\u2029", "\n")

    def show_part(self, shown: Shown) -> None:
        """Show a part of a document, scrolled to what is marked."""
        if shown.text != self.toPlainText():
            self.setPlainText(shown.text.replace("\0", "\ufffd"))
        self._mark = None
        if shown.mark is not None:
            start = max(0, min(shown.mark[0] - shown.start, len(shown.text)))
            end = max(start, min(shown.mark[1] - shown.start, len(shown.text)))
            self._mark = (_units(shown.text, start), _units(shown.text, end))
        self._tint()
        self.show_mark()

    def show_mark(self) -> None:
        """Scroll until the mark is in the middle, or to the beginning."""
        start = self._mark[0] if self._mark is not None else 0
        cursor = self._cursor(start, start)
        self.setTextCursor(cursor)
        if self._mark is not None:
            self.centerCursor()
        else:
            self.verticalScrollBar().setValue(0)
        self.viewport().update()

    def mark_areas(self) -> list[QRectF]:
        """Return where the marked lines stand in the viewport."""
        if self._mark is None:
            return []
        start, end = self._mark
        areas: list[QRectF] = []
        block = self.document().findBlock(start)
        while block.isValid() and block.position() < end:
            origin = self.blockBoundingGeometry(block).translated(self.contentOffset()).topLeft()
            for number in range(block.layout().lineCount()):
                line = block.layout().lineAt(number)
                first = max(start - block.position(), line.textStart())
                last = min(end - block.position(), line.textStart() + line.textLength())
                if first < last:
                    left, right = _x(line.cursorToX(first)), _x(line.cursorToX(last))
                    area = QRectF(left, line.y(), right - left, line.height())
                    areas.append(area.translated(origin).adjusted(-PAD, -1, PAD, 1))
            block = block.next()
        return areas

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        areas = self.mark_areas()
        if areas:
            painter = QPainter(self.viewport())
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(self._theme.color("accent"), 1.6))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            for area in areas:
                painter.drawRoundedRect(area, 3, 3)
            painter.end()

    def _tint(self) -> None:
        selections = []
        if self._mark is not None:
            selection = QTextEdit.ExtraSelection()
            selection.cursor = self._cursor(*self._mark)
            selection.format.setBackground(self._theme.color("accent-soft"))
            selections.append(selection)
        self.setExtraSelections(selections)

    def _cursor(self, start: int, end: int) -> QTextCursor:
        cursor = QTextCursor(self.document())
        cursor.setPosition(start)
        cursor.setPosition(end, QTextCursor.MoveMode.KeepAnchor)
        return cursor

    def _draw_again(self) -> None:
        self._looks.rehighlight()
        self._tint()


def _units(text: str, characters: int) -> int:
    """Return a place as Qt counts it: a character beyond U+FFFF is two."""
    return characters + sum(1 for letter in text[:characters] if ord(letter) > 0xFFFF)


def _x(value: object) -> float:
    return float(value[0] if isinstance(value, tuple) else value)  # type: ignore[arg-type]
