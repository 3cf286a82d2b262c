"""A piece of prose: a read-only text as high as its content, without scroll bars of its own."""

from __future__ import annotations

import math
from collections.abc import Collection

from PySide6.QtCore import QPoint, QRectF, QSize, Qt, QUrl, Signal
from PySide6.QtGui import (
    QContextMenuEvent,
    QCursor,
    QKeyEvent,
    QKeySequence,
    QPainter,
    QPaintEvent,
    QTextFormat,
    QTextOption,
    QWheelEvent,
)
from PySide6.QtWidgets import QFrame, QSizePolicy, QTextBrowser, QTextEdit, QWidget

from freehold.ui.chats.links import open_link
from freehold.ui.chats.markdown import SafeDocument, markdown_document, nothing_image
from freehold.ui.chats.stack import height_changed
from freehold.ui.documents.citing import Place, mark_citations, number_of, paint_chips
from freehold.ui.theme import Theme


class ProseView(QTextBrowser):
    """Shows Markdown, or plain text; selectable; the wheel belongs to what is around it.

    Signals: citation_asked(number): it was clicked; citation_hovered(number or 0, place).
    """

    citation_asked = Signal(int)
    citation_hovered = Signal(int, QPoint)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._text = ""
        self._plain = False
        self._has_quote = False
        self._numbers: frozenset[int] = frozenset()
        self._chips: list[Place] = []
        self._height = 0
        self.setProperty("prose", True)
        self.setOpenLinks(False)
        self.setReadOnly(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.setLineWrapMode(QTextEdit.LineWrapMode.FixedPixelWidth)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.viewport().setAutoFillBackground(False)
        self.anchorClicked.connect(self._on_anchor)
        self.highlighted.connect(self._on_highlighted)

    @property
    def source_text(self) -> str:
        """Return the text as it was given."""
        return self._text

    def show_markdown(self, text: str) -> None:
        """Show Markdown from a model."""
        if text == self._text and not self._plain and self._height:
            return
        self._text, self._plain = text, False
        self._draw()

    def cite(self, numbers: Collection[int]) -> None:
        """Make chips of these citations' marks, `[3]`."""
        if frozenset(numbers) != self._numbers:
            self._numbers = frozenset(numbers)
            if self._height:
                self._draw()

    def show_plain(self, text: str) -> None:
        """Show text as it is."""
        self._text, self._plain = text, True
        self._draw()

    def draw_again(self) -> None:
        """Draw with the theme's present colours, which are baked into the document."""
        self._draw()

    def _draw(self) -> None:
        old = self.document()
        if self._plain:
            document = SafeDocument(self)
            document.setUndoRedoEnabled(False)
            document.setDocumentMargin(0)
            document.setDefaultFont(self._theme.font())
            document.setPlainText(self._text)
        else:
            document = markdown_document(self._text, self._theme, self)
        self._chips = mark_citations(document, self._numbers, self._theme) if self._numbers else []
        option = document.defaultTextOption()
        option.setWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        document.setDefaultTextOption(option)
        self.setDocument(document)
        if old is not document and isinstance(old, SafeDocument):
            old.deleteLater()
        self._has_quote = not self._plain and ">" in self._text
        height = self._measure()
        if height != self._height:
            self._height = height
            height_changed(self)

    def _on_anchor(self, url: QUrl) -> None:
        number = number_of(url)
        if number is None:
            open_link(self._theme, self, url)
        elif number in self._numbers:
            self.citation_asked.emit(number)

    def _on_highlighted(self, url: QUrl) -> None:
        self.citation_hovered.emit(number_of(url) or 0, QCursor.pos())

    def _measure(self) -> int:
        return max(1, math.ceil(self.document().size().height()))

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        if width != self.lineWrapColumnOrWidth():
            self.setLineWrapColumnOrWidth(width)
            self._height = self._measure()
        return self._height

    def sizeHint(self) -> QSize:
        return QSize(self.lineWrapColumnOrWidth(), self._height)

    def minimumSizeHint(self) -> QSize:
        return QSize(40, 1)

    # --- hostile input and borrowed events -------------------------------------------------------

    def loadResource(self, kind: int, name: QUrl | str) -> object:
        return nothing_image()

    def setSource(self, *_: object) -> None:  # a document never becomes a place to go to
        return

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        keys = (QKeySequence.StandardKey.Copy, QKeySequence.StandardKey.SelectAll)
        if any(event.matches(key) for key in keys):
            super().keyPressEvent(event)
        else:
            event.ignore()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        if self.textCursor().hasSelection():
            super().contextMenuEvent(event)
        else:
            event.ignore()

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._has_quote:
            self._paint_quote_bars()
        if self._chips:
            painter = QPainter(self.viewport())
            paint_chips(painter, self.document(), self._chips, self._theme)
            painter.end()
        super().paintEvent(event)

    def _paint_quote_bars(self) -> None:
        painter = QPainter(self.viewport())
        layout = self.document().documentLayout()
        block = self.document().begin()
        while block.isValid():
            level = block.blockFormat().intProperty(QTextFormat.Property.BlockQuoteLevel)
            if level:
                area = layout.blockBoundingRect(block)
                for step in range(level):
                    bar = QRectF(18 * step + 2, area.top() - 3, 3, area.height() + 6)
                    painter.fillRect(bar, self._theme.color("border-strong"))
            block = block.next()
        painter.end()
