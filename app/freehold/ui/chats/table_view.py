"""A table: drawn as text while it is small, as a grid that scrolls by itself when it is not."""

from __future__ import annotations

import re
from typing import Any, Final

from PySide6.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QSize,
    Qt,
)
from PySide6.QtGui import QGuiApplication, QKeyEvent, QKeySequence, QWheelEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from freehold.ui.chats.prose_view import ProseView
from freehold.ui.chats.segment import cells
from freehold.ui.chats.stack import Stack
from freehold.ui.chats.tips import plain_tip
from freehold.ui.theme import Theme

TEXT_ROWS: Final = 30
TEXT_CHARS: Final = 4_000
GRID_ROWS: Final = 14
COLUMN_LIMITS: Final = (70, 360)
MOST_COLUMNS: Final = 200
CELL_CHARS: Final = 2_000
_MARKS = re.compile(r"(\*\*|__|~~|`)(.+?)\1")


Index = QModelIndex | QPersistentModelIndex


class Grid(QAbstractTableModel):
    """The cells of a Markdown table; rows are read from their line when first shown."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._head: list[str] = []
        self._align: list[Qt.AlignmentFlag] = []
        self._lines: list[str] = []
        self._cells: dict[int, list[str]] = {}
        self._taken = 0

    def take(self, text: str, *, finished: bool) -> None:
        """Take a table that may have grown at its end."""
        end = len(text) if finished else text.rfind("\n") + 1
        fresh = [line for line in text[self._taken : end].splitlines() if line.strip()]
        self._taken = end
        if not self._head and len(fresh) >= 2:
            self.beginResetModel()
            self._head = [plain(cell) for cell in cells(fresh[0])][:MOST_COLUMNS]
            self._align = [_alignment(cell) for cell in cells(fresh[1])]
            self._lines = fresh[2:]
            self.endResetModel()
        elif fresh:
            first = len(self._lines)
            self.beginInsertRows(QModelIndex(), first, first + len(fresh) - 1)
            self._lines.extend(fresh)
            self.endInsertRows()

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._lines)

    def columnCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._head)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            row = self._row(index.row())
            text = row[index.column()] if index.column() < len(row) else ""
            return text if role == Qt.ItemDataRole.DisplayRole else plain_tip(text)
        if role == Qt.ItemDataRole.TextAlignmentRole and index.column() < len(self._align):
            return self._align[index.column()] | Qt.AlignmentFlag.AlignVCenter
        return None

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        across = orientation == Qt.Orientation.Horizontal
        if role == Qt.ItemDataRole.TextAlignmentRole and across and section < len(self._align):
            return self._align[section] | Qt.AlignmentFlag.AlignVCenter
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        if orientation == Qt.Orientation.Vertical:
            return section + 1
        return self._head[section] if section < len(self._head) else ""

    def _row(self, number: int) -> list[str]:
        row = self._cells.get(number)
        if row is None:
            row = self._cells[number] = [plain(cell) for cell in cells(self._lines[number])]
        return row


class GridView(QTableView):
    """A large table; it takes the wheel only after a click into it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("grid", True)
        self.setModel(Grid(self))
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ContiguousSelection)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setWordWrap(False)
        self.setShowGrid(True)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        rows = self.verticalHeader()
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        rows.setDefaultSectionSize(self.fontMetrics().height() + 14)
        self.horizontalHeader().setHighlightSections(False)

    @property
    def grid(self) -> Grid:
        """Return the table's cells."""
        model = self.model()
        assert isinstance(model, Grid)
        return model

    def fit_columns(self) -> None:
        """Make columns as wide as their first rows need."""
        metrics, grid = self.fontMetrics(), self.grid
        for column in range(grid.columnCount()):
            texts = [str(grid.headerData(column, Qt.Orientation.Horizontal))]
            texts += [
                str(grid.data(grid.index(row, column)))[:80]
                for row in range(min(GRID_ROWS, grid.rowCount()))
            ]
            wanted = max(metrics.horizontalAdvance(text) for text in texts) + 34
            self.setColumnWidth(column, min(max(wanted, COLUMN_LIMITS[0]), COLUMN_LIMITS[1]))

    def sizeHint(self) -> QSize:
        rows = min(GRID_ROWS, self.grid.rowCount())
        height = rows * self.verticalHeader().defaultSectionSize() + 36
        return QSize(400, height + self.horizontalScrollBar().sizeHint().height())

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.matches(QKeySequence.StandardKey.Copy):
            QGuiApplication.clipboard().setText(self._selected_text())
        else:
            super().keyPressEvent(event)

    def _selected_text(self) -> str:
        rows: dict[int, list[str]] = {}
        for index in sorted(self.selectedIndexes(), key=lambda i: (i.row(), i.column())):
            rows.setdefault(index.row(), []).append(str(self.grid.data(index)))
        return "\n".join("\t".join(row) for row in rows.values())


class MarkdownTable(Stack):
    """One table of an answer."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._prose: ProseView | None = ProseView(theme, self)
        self._grid: GridView | None = None
        self.add(self._prose)

    @property
    def is_grid(self) -> bool:
        """Return whether the table is large."""
        return self._grid is not None

    @property
    def row_count(self) -> int:
        """Return the rows of a large table."""
        return self._grid.grid.rowCount() if self._grid is not None else 0

    def show_table(self, text: str, *, finished: bool) -> None:
        """Show the table as far as it came."""
        if self._grid is None and (len(text) > TEXT_CHARS or text.count("\n") > TEXT_ROWS):
            self._become_grid()
        if self._grid is not None:
            before = self._grid.grid.rowCount()
            self._grid.grid.take(text, finished=finished)
            if before < GRID_ROWS:
                self._grid.fit_columns()
                self.changed()
        elif self._prose is not None:
            self._prose.show_markdown(text)

    def draw_again(self) -> None:
        """Draw with the theme's present colours."""
        if self._prose is not None:
            self._prose.draw_again()

    def _become_grid(self) -> None:
        if self._prose is not None:
            self.drop(self._prose)
            self._prose = None
        self._grid = GridView(self)
        self.add(self._grid)


def plain(cell: str) -> str:
    """Return a cell's text without its inline marks."""
    return _MARKS.sub(r"\2", cell[:CELL_CHARS])


def _alignment(rule: str) -> Qt.AlignmentFlag:
    if rule.endswith(":"):
        return (
            Qt.AlignmentFlag.AlignHCenter if rule.startswith(":") else Qt.AlignmentFlag.AlignRight
        )
    return Qt.AlignmentFlag.AlignLeft
