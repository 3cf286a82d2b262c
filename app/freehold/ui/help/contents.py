"""The list beside the manual: its pages, or the sections a search found."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QPersistentModelIndex,
    QRect,
    QRectF,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QFontMetrics, QKeyEvent, QPainter
from PySide6.QtWidgets import (
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from freehold.ui.state.manual import Hit, ManualPage
from freehold.ui.theme import Theme

ROW_ROLE: Final = Qt.ItemDataRole.UserRole
PADDING: Final = 10
SNIPPET_LINES: Final = 3

Index: TypeAlias = QModelIndex | QPersistentModelIndex
Row: TypeAlias = ManualPage | Hit


class _Rows(QAbstractListModel):
    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.rows: tuple[Row, ...] = ()

    def show_rows(self, rows: tuple[Row, ...]) -> None:
        self.beginResetModel()
        self.rows = rows
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own default
        return 0 if parent.isValid() else len(self.rows)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row = self.rows[index.row()]
        if role == ROW_ROLE:
            return row
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return row.title if isinstance(row, ManualPage) else _where(row)
        return None


class _RowPainter(QStyledItemDelegate):
    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme = theme

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        line = QFontMetrics(self._theme.font()).height()
        small = QFontMetrics(self._theme.font("small")).height()
        extra = SNIPPET_LINES * small + 8 if isinstance(index.data(ROW_ROLE), Hit) else 0
        return QSize(100, line + extra + 16)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        row, state, flag = index.data(ROW_ROLE), option.state, QStyle.StateFlag
        chosen = bool(state & flag.State_Selected)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        back = QRectF(option.rect).adjusted(0, 1, 0, -1)
        if chosen or state & flag.State_MouseOver:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self._theme.color("selected" if chosen else "hover"))
            painter.drawRoundedRect(back, 6, 6)
        if state & flag.State_HasFocus and state & flag.State_KeyboardFocusChange:
            painter.setPen(self._theme.color("focus"))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(back.adjusted(1, 1, -1, -1), 6, 6)
        area: QRect = option.rect.adjusted(PADDING, 8, -PADDING, -8)
        painter.setFont(self._theme.font(bold=isinstance(row, Hit)))
        painter.setPen(self._theme.color("selected-text" if chosen else "text"))
        title = row.title if isinstance(row, ManualPage) else _where(row)
        metrics = painter.fontMetrics()
        line = QRect(area.left(), area.top(), area.width(), metrics.height())
        shown = metrics.elidedText(title, Qt.TextElideMode.ElideRight, line.width())
        painter.drawText(line, Qt.AlignmentFlag.AlignVCenter, shown)
        if isinstance(row, Hit):
            painter.setFont(self._theme.font("small"))
            painter.setPen(self._theme.color("text-muted"))
            words = QRect(area.left(), line.bottom() + 4, area.width(), 0)
            words.setBottom(area.bottom() + 4)
            painter.setClipRect(words)
            painter.drawText(words, Qt.TextFlag.TextWordWrap, row.snippet)
        painter.restore()


class Contents(QListView):
    """Signals: opened(page key, heading or "")."""

    opened = Signal(str, str)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Pages of the manual")
        self._rows = _Rows(self)
        self.setModel(self._rows)
        self.setItemDelegate(_RowPainter(theme, self))
        self.setMouseTracking(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.clicked.connect(self._open)
        theme.changed.connect(self.viewport().update)

    @property
    def rows(self) -> tuple[Row, ...]:
        """Return what is listed."""
        return self._rows.rows

    def show_rows(self, rows: tuple[Row, ...]) -> None:
        """List pages, or what a search found."""
        self._rows.show_rows(rows)

    def mark(self, key: str) -> None:
        """Mark the page that is shown."""
        for number, row in enumerate(self.rows):
            if isinstance(row, ManualPage) and row.key == key:
                self.setCurrentIndex(self._rows.index(number, 0))
                return
        self.clearSelection()

    def open_first(self) -> None:
        """Open the first row."""
        if self.rows:
            self.setCurrentIndex(self._rows.index(0, 0))
            self._open(self.currentIndex())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._open(self.currentIndex())
        else:
            super().keyPressEvent(event)

    def _open(self, index: QModelIndex) -> None:
        row = index.data(ROW_ROLE)
        if isinstance(row, ManualPage | Hit):
            self.opened.emit(row.key, row.heading if isinstance(row, Hit) else "")


def _where(hit: Hit) -> str:
    return hit.title if hit.heading == hit.title else f"{hit.title} › {hit.heading}"
