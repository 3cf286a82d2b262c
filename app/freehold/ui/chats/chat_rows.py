"""How a row of the chat list looks: painted, so that ten thousand scroll like ten."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QFontMetrics, QPainter
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from freehold.ui.chats.message_view import clock
from freehold.ui.icons import pixmap
from freehold.ui.state.chats import ROW_ROLE, Header
from freehold.ui.theme import Theme
from freehold.wire import ChatSummary, SearchHit

PADDING: Final = 10
MENU_WIDTH: Final = 30  # the part at the right that opens the menu of a row
Index = QModelIndex | QPersistentModelIndex


class ChatRowPainter(QStyledItemDelegate):
    """Paints headings, chats and search hits."""

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme = theme
        self._line = QFontMetrics(theme.font()).height()
        self._small = QFontMetrics(theme.font("small")).height()

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        row = index.data(ROW_ROLE)
        if isinstance(row, Header):
            return QSize(100, self._small + 18)
        if isinstance(row, SearchHit):
            return QSize(100, self._line + 2 * self._small + 20)
        return QSize(100, self._line + 16)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        row = index.data(ROW_ROLE)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area: QRect = option.rect
        if isinstance(row, Header):
            painter.setFont(self._theme.font("small", bold=True))
            painter.setPen(self._theme.color("text-faint"))
            place = area.adjusted(PADDING, 8, -PADDING, 0)
            painter.drawText(place, Qt.AlignmentFlag.AlignVCenter, row.title)
        else:
            self._paint_back(painter, option)
            inner = area.adjusted(PADDING, 0, -PADDING, 0)
            chosen = bool(option.state & QStyle.StateFlag.State_Selected)
            if isinstance(row, ChatSummary):
                hovered = bool(option.state & QStyle.StateFlag.State_MouseOver)
                self._paint_chat(painter, inner, row, chosen=chosen, hovered=hovered)
            elif isinstance(row, SearchHit):
                self._paint_hit(painter, inner, row, chosen=chosen)
        painter.restore()

    def _paint_back(self, painter: QPainter, option: QStyleOptionViewItem) -> None:
        state, flag = option.state, QStyle.StateFlag
        token = "selected" if state & flag.State_Selected else "hover"
        if state & (flag.State_Selected | flag.State_MouseOver):
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self._theme.color(token))
            painter.drawRoundedRect(QRectF(option.rect).adjusted(0, 1, 0, -1), 6, 6)
        if state & flag.State_HasFocus and state & flag.State_KeyboardFocusChange:
            painter.setPen(self._theme.color("focus"))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(option.rect).adjusted(1, 2, -1, -2), 6, 6)

    def _paint_chat(
        self, painter: QPainter, area: QRect, chat: ChatSummary, *, chosen: bool, hovered: bool
    ) -> None:
        text = area
        mark = "more" if hovered else "dot" if chat.busy else "pin" if chat.pinned else ""
        if mark:
            tint = "text" if hovered else "accent" if chat.busy else "text-faint"
            image = pixmap(mark, self._theme.hex(tint), 14, painter.device().devicePixelRatioF())
            painter.drawPixmap(area.right() - 14, area.center().y() - 6, image)
            text = area.adjusted(0, 0, -20, 0)
        painter.setFont(self._theme.font())
        painter.setPen(self._theme.color("selected-text" if chosen else "text"))
        self._draw_line(painter, text, chat.title or "New chat")

    def _paint_hit(self, painter: QPainter, area: QRect, hit: SearchHit, *, chosen: bool) -> None:
        top = area.top() + 8
        painter.setFont(self._theme.font())
        painter.setPen(self._theme.color("selected-text" if chosen else "text"))
        when = clock(hit.created_at)
        width = QFontMetrics(self._theme.font("small")).horizontalAdvance(when) + 8
        line = QRect(area.left(), top, area.width() - width, self._line)
        self._draw_line(painter, line, hit.title or "New chat")
        painter.setFont(self._theme.font("small"))
        painter.setPen(self._theme.color("text-muted"))
        painter.drawText(
            QRect(area.left(), top, area.width(), self._line),
            Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter,
            when,
        )
        words = QRect(area.left(), top + self._line + 2, area.width(), 2 * self._small)
        painter.drawText(
            words, Qt.TextFlag.TextWordWrap | Qt.AlignmentFlag.AlignTop, hit.snippet[:200]
        )

    def _draw_line(self, painter: QPainter, area: QRect, text: str) -> None:
        shown = painter.fontMetrics().elidedText(
            text.replace("\n", " "), Qt.TextElideMode.ElideRight, area.width()
        )
        painter.drawText(area, Qt.AlignmentFlag.AlignVCenter | Qt.TextFlag.TextSingleLine, shown)
