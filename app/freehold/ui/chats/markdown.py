"""Markdown from a model made into a document that can do no harm.

The text is hostile input. Raw HTML is text; nothing is loaded, from disk or network; an image
becomes a note; a link that is not http, https or mailto becomes text. The document is cleaned
before any view lays it out, because laying out is when Qt would read files.
"""

from __future__ import annotations

from typing import Any, Final

from PySide6.QtCore import QByteArray, QObject, QUrl
from PySide6.QtGui import (
    QBrush,
    QColor,
    QFont,
    QImage,
    QTextBlock,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QTextFormat,
    QTextFrameFormat,
    QTextLength,
    QTextTable,
)

from freehold.ui.chats.tips import plain_tip
from freehold.ui.theme import Theme

DIALECT: Final = QTextDocument.MarkdownFeature(
    QTextDocument.MarkdownFeature.MarkdownNoHTML.value
    | QTextDocument.MarkdownFeature.MarkdownDialectGitHub.value
)
SCHEMES: Final = frozenset({"http", "https", "mailto"})
LINE_SPARE: Final = 4  # pixels between lines
INDENT: Final = 24
HEADING_SCALE: Final = {1: 1.45, 2: 1.25, 3: 1.1}
_DISTANCE: Final = QTextBlockFormat.LineHeightTypes.LineDistanceHeight.value
_IMAGE_NOTE: Final = "[image: {} – not loaded]"


class SafeDocument(QTextDocument):
    """A document that never loads anything."""

    def loadResource(self, kind: int, name: QUrl | str) -> Any:
        # An empty answer would make Qt try the name as a file by itself.
        if kind == int(QTextDocument.ResourceType.ImageResource):
            return nothing_image()
        return QByteArray()


def nothing_image() -> QImage:
    """Return the image shown for every image: one transparent pixel."""
    image = QImage(1, 1, QImage.Format.Format_ARGB32)
    image.fill(0)
    return image


def is_safe_link(url: QUrl) -> bool:
    """Tell whether a link may be offered: an absolute http, https or mailto address."""
    if not url.isValid() or url.scheme().lower() not in SCHEMES:
        return False
    return bool(url.path()) if url.scheme().lower() == "mailto" else bool(url.host())


def markdown_document(text: str, theme: Theme, parent: QObject | None = None) -> SafeDocument:
    """Return a document of Markdown, cleaned and in the theme's colours and sizes."""
    document = SafeDocument(parent)
    document.setUndoRedoEnabled(False)
    document.setDocumentMargin(0)
    document.setIndentWidth(INDENT)
    document.setDefaultFont(theme.font())
    # NUL and object-replacement characters have a meaning of their own inside Qt's documents.
    document.setMarkdown(text.replace("\0", "\ufffd").replace("\ufffc", "\ufffd"), DIALECT)
    _Cleaner(document, theme).run()
    return document


class _Cleaner:
    """One walk over a fresh document: takes out what may do harm, gives the rest its looks."""

    def __init__(self, document: SafeDocument, theme: Theme) -> None:
        self._document = document
        self._theme = theme
        self._cursor = QTextCursor(document)
        self._points = theme.font().pointSizeF()
        self._code = QTextCharFormat()
        self._code.setFontFamilies([theme.mono_font().family(), "monospace"])
        self._code.setFontFixedPitch(True)
        self._code.setFontPointSize(theme.mono_font().pointSizeF())
        self._code.setBackground(QBrush(theme.color("surface-sunken")))

    def run(self) -> None:
        self._cursor.beginEditBlock()
        block = self._document.begin()
        first = True
        while block.isValid():
            self._dress_block(block, first)
            for position, length, form in _fragments(block):
                self._dress_text(block, position, length, form)
            block = block.next()
            first = False
        for frame in self._document.rootFrame().childFrames():
            if isinstance(frame, QTextTable):
                self._dress_table(frame)
        self._cursor.endEditBlock()

    # --- blocks ----------------------------------------------------------------------------------

    def _dress_block(self, block: QTextBlock, first: bool) -> None:
        given = block.blockFormat()
        form = QTextBlockFormat()
        level = given.headingLevel()
        quote = given.intProperty(QTextFormat.Property.BlockQuoteLevel)
        if QTextCursor(block).currentTable() is not None:
            form.setTopMargin(2)
            form.setBottomMargin(2)
        elif is_code_block(given):
            form.setBackground(QBrush(self._theme.color("surface-sunken")))
            form.setTopMargin(0)
            form.setBottomMargin(0)
            form.setLineHeight(2, _DISTANCE)
        else:
            # A proportional height would push text below its list number.
            form.setLineHeight(LINE_SPARE, _DISTANCE)
            in_list = block.textList() is not None
            top = 8 if first and level else 0 if first else 14 if level else 2 if in_list else 4
            form.setTopMargin(top)
            form.setBottomMargin(4 if level else 2 if in_list else 6)
            if quote:
                form.setLeftMargin(18 * quote)
                form.setRightMargin(0)
        self._cursor.setPosition(block.position())
        self._cursor.mergeBlockFormat(form)

    # --- text ------------------------------------------------------------------------------------

    def _dress_text(
        self, block: QTextBlock, position: int, length: int, given: QTextCharFormat
    ) -> None:
        if given.isImageFormat():
            self._replace_image(position, length, given)
            return
        form = QTextCharFormat()
        level = block.blockFormat().headingLevel()
        if level:
            # Qt's own steps for headings win over a size, so they go.
            form = QTextCharFormat(given)
            form.clearProperty(QTextFormat.Property.FontSizeAdjustment)
            form.setFontPointSize(self._points * HEADING_SCALE.get(level, 1.0))
            form.setFontWeight(QFont.Weight.DemiBold)
        if given.fontFixedPitch():
            form.merge(self._code)
            if is_code_block(block.blockFormat()):
                form.setBackground(QBrush(QColor(0, 0, 0, 0)))
        if block.blockFormat().hasProperty(QTextFormat.Property.BlockQuoteLevel):
            form.setForeground(QBrush(self._theme.color("text-muted")))
        if given.isAnchor():
            if is_safe_link(QUrl(given.anchorHref())):
                form.setForeground(QBrush(self._theme.color("link")))
                form.setToolTip(plain_tip(given.anchorHref()))
            else:
                self._unlink(position, length, given)
                return
        if form.propertyCount():
            self._select(position, length)
            if level:
                self._cursor.setCharFormat(form)
            else:
                self._cursor.mergeCharFormat(form)

    def _unlink(self, position: int, length: int, given: QTextCharFormat) -> None:
        plain = QTextCharFormat()
        plain.setFontWeight(given.fontWeight())
        plain.setFontItalic(given.fontItalic())
        self._select(position, length)
        self._cursor.setCharFormat(plain)

    def _replace_image(self, position: int, length: int, given: QTextCharFormat) -> None:
        alt = str(given.property(QTextFormat.Property.ImageAltText) or "").strip()
        form = QTextCharFormat()
        form.setFontItalic(True)
        form.setForeground(QBrush(self._theme.color("text-muted")))
        self._select(position, length)
        self._cursor.insertText(_IMAGE_NOTE.format(alt or "no description"), form)

    def _select(self, position: int, length: int) -> None:
        self._cursor.setPosition(position)
        self._cursor.setPosition(position + length, QTextCursor.MoveMode.KeepAnchor)

    # --- tables ----------------------------------------------------------------------------------

    def _dress_table(self, table: QTextTable) -> None:
        form = table.format()
        form.setBorder(1)
        form.setBorderBrush(QBrush(self._theme.color("border")))
        form.setBorderStyle(QTextFrameFormat.BorderStyle.BorderStyle_Solid)
        form.setBorderCollapse(True)
        form.setCellPadding(6)
        form.setTopMargin(4)
        form.setBottomMargin(4)
        form.setWidth(QTextLength(QTextLength.Type.VariableLength, 0))
        table.setFormat(form)
        for column in range(table.columns()):
            cell = table.cellAt(0, column)
            head = cell.format()
            head.setBackground(QBrush(self._theme.color("surface-sunken")))
            cell.setFormat(head)


def is_code_block(form: QTextBlockFormat) -> bool:
    """Tell whether a block is a line of indented or fenced code."""
    return form.nonBreakableLines() or form.hasProperty(QTextFormat.Property.BlockCodeFence)


def _fragments(block: QTextBlock) -> list[tuple[int, int, QTextCharFormat]]:
    """Return a block's fragments, last first: replacing one then moves none of the others."""
    found = []
    iterator = block.begin()
    while not iterator.atEnd():
        fragment = iterator.fragment()
        if fragment.isValid():
            found.append((fragment.position(), fragment.length(), fragment.charFormat()))
        iterator += 1
    return found[::-1]
