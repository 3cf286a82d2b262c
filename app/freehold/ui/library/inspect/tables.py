"""The tables of a model's tensors and of its metadata, each with a filter."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from freehold.ui.library.inspect.pieces import WORDS
from freehold.ui.library.inspect.rows_table import Column, RowsModel, RowsTable
from freehold.ui.theme import SIZES
from freehold.ui.widgets.labels import text_label
from freehold.units import format_bytes
from freehold.wire_files import MetadataRow, TensorRow

PAUSE_MS: Final = 120
OUTSIDE: Final = -1


def _shape(row: TensorRow) -> str:
    return " × ".join(f"{size:,}" for size in row.shape)


def _values(row: TensorRow) -> int:
    count = 1
    for size in row.shape:
        count *= size
    return count


def _layer(row: TensorRow) -> int:
    return OUTSIDE if row.layer is None else row.layer


TENSOR_COLUMNS: Final[tuple[Column[TensorRow], ...]] = (
    Column("Tensor", lambda row: row.name, lambda row: (_layer(row), row.name), stretch=True),
    Column(
        "Layer",
        lambda row: "" if row.layer is None else str(row.layer),
        _layer,
        is_number=True,
        width=70,
    ),
    Column("Piece", lambda row: WORDS[row.piece], lambda row: row.piece, width=180),
    Column("Shape", _shape, _values, is_number=True, width=170),
    Column("Type", lambda row: row.kind, lambda row: row.kind, width=90),
    Column(
        "Size",
        lambda row: format_bytes(row.bytes),
        lambda row: row.bytes,
        is_number=True,
        width=100,
    ),
)
METADATA_COLUMNS: Final[tuple[Column[MetadataRow], ...]] = (
    Column("Key", lambda row: row.key, lambda row: row.key, width=330),
    Column("Kind", lambda row: row.kind, lambda row: row.kind, width=170),
    Column(
        "Value",
        lambda row: " ".join(row.value.split())[:400],
        lambda row: (len(row.value), row.value),
        stretch=True,
    ),
)


class TensorsView(QWidget):
    """Every tensor; words of the filter must all be in the name, the type or the piece."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._tensors: tuple[TensorRow, ...] = ()
        self._texts: dict[str, str] = {}
        self.model = RowsModel(TENSOR_COLUMNS, self)
        self.table = RowsTable(self.model, "Tensors")
        self.field = _filter_field("Filter: attn q8_0 blk.12", "Filter the tensors")
        self.piece = QComboBox()
        self.piece.setAccessibleName("Piece of the model")
        self.piece.addItem("All pieces", "")
        self.count = text_label("", "small")
        self._pause = _pause(self, self.apply)
        self.field.textChanged.connect(self._pause.start)
        self.piece.activated.connect(self.apply)
        _lay_out(self, (self.field, self.piece), self.count, self.table)

    def show_tensors(self, tensors: tuple[TensorRow, ...]) -> None:
        """Show other tensors."""
        self._tensors = tensors
        self._texts = {
            row.name: f"{row.name} {row.kind} {WORDS[row.piece]}".casefold() for row in tensors
        }
        held = {row.piece for row in tensors}
        self.piece.clear()
        self.piece.addItem("All pieces", "")
        for piece, words in WORDS.items():
            if piece in held:
                self.piece.addItem(words, piece)
        self.model.show_rows(tensors)
        self.apply()

    def apply(self) -> None:
        """Filter by what the fields say."""
        self._pause.stop()
        words = self.field.text().casefold().split()
        piece = self.piece.currentData() or ""
        texts = self._texts

        def passes(row: TensorRow) -> bool:
            if piece and row.piece != piece:
                return False
            text = texts[row.name]
            return all(word in text for word in words)

        self.model.filter(passes if words or piece else None)
        shown = self.model.shown
        size = format_bytes(sum(row.bytes for row in shown))
        count = f"{len(shown):,} of {len(self._tensors):,} tensors"
        self.count.setText(f"{count}, {size}")


class MetadataView(QWidget):
    """Every metadata value; words of the filter must all be in the key or the value."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows: tuple[MetadataRow, ...] = ()
        self.model = RowsModel(METADATA_COLUMNS, self)
        self.table = RowsTable(self.model, "Metadata")
        self.field = _filter_field("Filter: rope scaling", "Filter the metadata")
        self.count = text_label("", "small")
        self._pause = _pause(self, self.apply)
        self.field.textChanged.connect(self._pause.start)
        _lay_out(self, (self.field,), self.count, self.table)

    def show_rows(self, rows: tuple[MetadataRow, ...]) -> None:
        """Show other values."""
        self._rows = rows
        self.model.show_rows(rows)
        self.apply()

    def apply(self) -> None:
        """Filter by what the field says."""
        self._pause.stop()
        words = self.field.text().casefold().split()

        def passes(row: MetadataRow) -> bool:
            text = f"{row.key} {row.value}".casefold()
            return all(word in text for word in words)

        self.model.filter(passes if words else None)
        self.count.setText(f"{len(self.model.shown):,} of {len(self._rows):,} values")


def _filter_field(hint: str, name: str) -> QLineEdit:
    field = QLineEdit()
    field.setPlaceholderText(hint)
    field.setAccessibleName(name)
    field.setClearButtonEnabled(True)
    return field


def _pause(owner: QWidget, then: object) -> QTimer:
    timer = QTimer(owner)
    timer.setSingleShot(True)
    timer.setInterval(PAUSE_MS)
    timer.timeout.connect(then)
    return timer


def _lay_out(page: QWidget, fields: tuple[QWidget, ...], count: QWidget, table: RowsTable) -> None:
    head = QHBoxLayout()
    head.setSpacing(SIZES["space"])
    for number, field in enumerate(fields):
        head.addWidget(field, 0 if number else 1)
    column = QVBoxLayout(page)
    column.setContentsMargins(0, 0, 0, SIZES["space-2"])
    column.setSpacing(SIZES["space"])
    column.addLayout(head)
    column.addWidget(count)
    column.addWidget(table, 1)
