"""Rows of values as a table that filters and sorts, however many there are.

Only what is on the screen is asked for; a filter or an order is worked out once, over all rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtGui import QGuiApplication, QKeySequence, QShortcut
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

Row = TypeVar("Row")
Index = QModelIndex | QPersistentModelIndex
NOWHERE: Final = QModelIndex()
ROW_HEIGHT: Final = 30


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """A column: what it shows of a row, and what it is sorted by; stretch takes what is left."""

    title: str
    text: Callable[[Row], str]
    key: Callable[[Row], Any]
    is_number: bool = False
    width: int = 120
    stretch: bool = False


class RowsModel(QAbstractTableModel, Generic[Row]):
    """The rows that pass the filter, in the order chosen."""

    def __init__(self, columns: Sequence[Column[Row]], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.columns = tuple(columns)
        self._rows: tuple[Row, ...] = ()
        self._shown: list[Row] = []
        self._passes: Callable[[Row], bool] | None = None
        self._order: tuple[int, Qt.SortOrder] | None = None

    @property
    def shown(self) -> tuple[Row, ...]:
        """Return the rows in the order they are shown."""
        return tuple(self._shown)

    def show_rows(self, rows: Sequence[Row]) -> None:
        """Show other rows; filter and order stay."""
        self._rows = tuple(rows)
        self._work_out()

    def filter(self, passes: Callable[[Row], bool] | None) -> None:
        """Show only rows that pass; None shows all."""
        self._passes = passes
        self._work_out()

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        self._order = (column, order) if 0 <= column < len(self.columns) else None
        self._work_out()

    def rowCount(self, parent: Index = NOWHERE) -> int:
        return 0 if parent.isValid() else len(self._shown)

    def columnCount(self, parent: Index = NOWHERE) -> int:
        return 0 if parent.isValid() else len(self.columns)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        column = self.columns[index.column()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return column.text(self._shown[index.row()])
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight if column.is_number else Qt.AlignmentFlag.AlignLeft
            return side | Qt.AlignmentFlag.AlignVCenter
        return None

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation == Qt.Orientation.Horizontal:
            if role == Qt.ItemDataRole.DisplayRole:
                return self.columns[section].title
            if role == Qt.ItemDataRole.TextAlignmentRole:
                right = self.columns[section].is_number
                side = Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft
                return side | Qt.AlignmentFlag.AlignVCenter
        return None

    def _work_out(self) -> None:
        self.beginResetModel()
        passes = self._passes
        shown = [row for row in self._rows if passes(row)] if passes else list(self._rows)
        if self._order is not None:
            number, order = self._order
            shown.sort(key=self.columns[number].key, reverse=order == Qt.SortOrder.DescendingOrder)
        self._shown = shown
        self.endResetModel()


class RowsTable(QTableView):
    """A table over a `RowsModel`; Ctrl+C copies the rows that are marked."""

    def __init__(self, model: RowsModel[Any], name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows = model
        self.setModel(model)
        self.setAccessibleName(name)
        self.setProperty("rows", True)
        self.setSortingEnabled(True)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        down = self.verticalHeader()
        down.hide()
        down.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        down.setDefaultSectionSize(max(ROW_HEIGHT, self.fontMetrics().height() + 12))
        across = self.horizontalHeader()
        across.setSortIndicatorClearable(True)
        across.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        across.setHighlightSections(False)
        letter = self.fontMetrics().averageCharWidth() / 7
        for number, column in enumerate(model.columns):
            self.setColumnWidth(number, round(column.width * max(1.0, letter)))
            if column.stretch:
                across.setSectionResizeMode(number, QHeaderView.ResizeMode.Stretch)
        copy = QShortcut(QKeySequence.StandardKey.Copy, self)
        copy.setContext(Qt.ShortcutContext.WidgetShortcut)
        copy.activated.connect(self.copy)

    def copy(self) -> None:
        """Put the marked rows on the clipboard, a line each, columns parted by tabs."""
        chosen = sorted(index.row() for index in self.selectionModel().selectedRows())
        lines = [
            "\t".join(column.text(self._rows.shown[row]) for column in self._rows.columns)
            for row in chosen
        ]
        QGuiApplication.clipboard().setText("\n".join(lines))
