"""Citations in an answer's text: `[3]` becomes a small chip that leads to its proof."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from PySide6.QtCore import QRectF, QUrl
from PySide6.QtGui import QBrush, QColor, QFont, QPainter, QTextCharFormat, QTextCursor
from PySide6.QtGui import QTextDocument as Document

from freehold.ui.theme import Theme

SCHEME: Final = "freehold-citation"
MARK: Final = re.compile(r"\[(\d{1,3})\]")
Place = tuple[int, int]  # where a mark stands in the document, and its length


def mark_citations(document: Document, numbers: Collection[int], theme: Theme) -> list[Place]:
    """Make links of the marks whose number has a citation; return where they stand.

    The brackets stay in the text, unseen, so that what is copied says `[3]`.
    """
    found: list[Place] = []
    block = document.begin()
    while block.isValid():
        for match in MARK.finditer(block.text()):
            number = int(match[1])
            at = block.position() + match.start()
            if number in numbers and not _is_code(document, at):
                _dress(document, at, match.end() - match.start(), number, theme)
                found.append((at, match.end() - match.start()))
        block = block.next()
    return found


def number_of(url: QUrl) -> int | None:
    """Return the citation a link leads to, None for any other link."""
    if url.scheme() != SCHEME:
        return None
    return int(url.path()) if url.path().isdigit() else None


def paint_chips(painter: QPainter, document: Document, places: list[Place], theme: Theme) -> None:
    """Paint the ground of the chips; the text comes above it."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QColor(0, 0, 0, 0))
    painter.setBrush(theme.color("accent-soft"))
    for at, length in places:
        area = area_of(document, at, length)
        if area is not None:
            painter.drawRoundedRect(area, 5, 5)


def area_of(document: Document, at: int, length: int) -> QRectF | None:
    """Return where characters of one line stand, None when they wrap."""
    block = document.findBlock(at)
    layout = block.layout()
    start = at - block.position()
    line = layout.lineForTextPosition(start)
    if not line.isValid():
        return None
    left, right = _x(line.cursorToX(start)), _x(line.cursorToX(start + length))
    if right <= left:
        return None
    origin = document.documentLayout().blockBoundingRect(block).topLeft()
    top = origin.y() + line.y() + 1
    return QRectF(origin.x() + left, top, right - left, line.ascent() + line.descent() - 1)


def _x(value: object) -> float:
    return float(value[0] if isinstance(value, tuple) else value)  # type: ignore[arg-type]


def _is_code(document: Document, at: int) -> bool:
    cursor = QTextCursor(document)
    cursor.setPosition(at + 1)
    return cursor.charFormat().fontFixedPitch()


def _dress(document: Document, at: int, length: int, number: int, theme: Theme) -> None:
    form = QTextCharFormat()
    form.setAnchor(True)
    form.setAnchorHref(f"{SCHEME}:{number}")
    form.setFontPointSize(theme.font("small").pointSizeF() * 0.92)
    form.setFontWeight(QFont.Weight.DemiBold)
    form.setFontUnderline(False)
    form.setForeground(QBrush(theme.color("accent")))
    unseen = QTextCharFormat(form)
    unseen.setForeground(QBrush(QColor(0, 0, 0, 0)))
    cursor = QTextCursor(document)
    for start, end, dress in (
        (at, at + 1, unseen),
        (at + 1, at + length - 1, form),
        (at + length - 1, at + length, unseen),
    ):
        cursor.setPosition(start)
        cursor.setPosition(end, QTextCursor.MoveMode.KeepAnchor)
        cursor.mergeCharFormat(dress)
