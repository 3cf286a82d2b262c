"""A picture of where a model's bytes are: one bar for all of it, and a column for each layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QHelpEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from freehold.ui.library.inspect.pieces import WORDS, fill, piece_words
from freehold.ui.theme import Theme
from freehold.units import format_bytes
from freehold.wire_files import LayerBytes

BAR_HEIGHT: Final = 28
CHART_HEIGHT: Final = 180
AXIS_HEIGHT: Final = 20


class TotalBar(QWidget):
    """All bytes as one bar, the pieces side by side."""

    def __init__(self, theme: Theme, sizes: dict[str, int]) -> None:
        super().__init__()
        self._theme, self._sizes = theme, sizes
        self.setFixedHeight(BAR_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Where the bytes are")
        self.setAccessibleDescription(piece_words(sizes))
        theme.changed.connect(self.update)

    def places(self) -> list[tuple[str, QRectF]]:
        """Return the pieces with their rectangles, left to right."""
        whole, left, placed = max(1, sum(self._sizes.values())), 0.0, []
        for piece in WORDS:
            width = self._sizes.get(piece, 0) / whole * self.width()
            if width > 0:
                placed.append((piece, QRectF(left, 0, width, self.height())))
            left += width
        return placed

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        outline = QPainterPath()
        outline.addRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)
        painter.setClipPath(outline)
        for piece, place in self.places():
            fill(painter, place, piece, self._theme)
            if place.width() > 3:
                painter.setPen(QPen(self._theme.color("surface"), 1))
                painter.drawLine(place.topRight(), place.bottomRight())
        painter.setClipping(False)
        painter.setPen(QPen(self._theme.color("border-strong"), 1))
        painter.drawPath(outline)
        painter.end()

    def event(self, event: object) -> bool:
        if isinstance(event, QHelpEvent):
            for piece, place in self.places():
                if place.contains(QPointF(event.pos())):
                    words = f"{WORDS[piece]}: {format_bytes(self._sizes[piece])}"
                    QToolTip.showText(event.globalPos(), words, self)
                    return True
            QToolTip.hideText()
            return True
        return super().event(event)  # type: ignore[arg-type]


class LayerChart(QWidget):
    """A column for each layer; the arrow keys or the pointer choose one.

    Signals: chosen(text): what that layer holds, in words.
    """

    chosen = Signal(str)

    def __init__(self, theme: Theme, layers: Sequence[LayerBytes]) -> None:
        super().__init__()
        self._theme = theme
        self._layers = [row for row in layers if row.layer is not None]
        self._left_out = ""
        self._chosen = -1
        self.setFixedHeight(CHART_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setAccessibleName("Bytes of each layer")
        self.setAccessibleDescription("The arrow keys go from layer to layer.")
        theme.changed.connect(self.update)

    def sizeHint(self) -> QSize:
        return QSize(480, CHART_HEIGHT)

    def words(self, index: int) -> str:
        """Return what a layer holds."""
        row = self._layers[index]
        total = format_bytes(sum(row.bytes_by_piece.values()))
        return f"Layer {row.layer}: {total}. {piece_words(row.bytes_by_piece)}"

    def leave_out(self, piece: str) -> None:
        """Draw the layers without a piece, so that the rest can be seen; "" draws all."""
        self._left_out = piece
        self.update()

    def sizes(self, index: int) -> dict[str, int]:
        """Return the pieces of a layer that are drawn."""
        found = self._layers[index].bytes_by_piece
        return {piece: size for piece, size in found.items() if piece != self._left_out}

    def choose(self, index: int) -> None:
        """Mark a layer and tell what it holds."""
        if not self._layers:
            return
        index = max(0, min(len(self._layers) - 1, index))
        if index != self._chosen:
            self._chosen = index
            self.setAccessibleDescription(self.words(index))
            self.chosen.emit(self.words(index))
            self.update()

    def columns(self) -> list[QRectF]:
        """Return the place of each layer's column, without its height."""
        count = max(1, len(self._layers))
        step = self.width() / count
        gap = 1.0 if step > 4 else 0.0
        height = self.height() - AXIS_HEIGHT
        return [QRectF(number * step, 0, step - gap, height) for number in range(count)]

    def keyPressEvent(self, event: QKeyEvent) -> None:
        steps = {
            Qt.Key.Key_Right.value: self._chosen + 1,
            Qt.Key.Key_Left.value: self._chosen - 1,
            Qt.Key.Key_Home.value: 0,
            Qt.Key.Key_End.value: len(self._layers) - 1,
        }
        if event.key() in steps:
            self.choose(steps[event.key()])
        else:
            super().keyPressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._layers and self.width():
            self.choose(int(event.position().x() / self.width() * len(self._layers)))

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter, theme = QPainter(self), self._theme
        columns = self.columns()
        layers = [self.sizes(number) for number in range(len(self._layers))]
        most = max((sum(sizes.values()) for sizes in layers), default=1) or 1
        for number, (sizes, column) in enumerate(zip(layers, columns, strict=False)):
            bottom = column.bottom()
            for piece in WORDS:
                height = sizes.get(piece, 0) / most * column.height()
                if height > 0:
                    place = QRectF(column.left(), bottom - height, column.width(), height)
                    fill(painter, place, piece, theme)
                    bottom -= height
            if number == self._chosen:
                painter.setPen(QPen(theme.color("text"), 2))
                frame = QRectF(column.left(), bottom, column.width(), column.bottom() - bottom)
                painter.drawRect(frame.adjusted(0, 1, 0, 0))
        self._paint_axis(painter, columns)
        if self.hasFocus():
            painter.setPen(QPen(theme.color("focus"), 2))
            painter.drawRect(QRectF(self.rect()).adjusted(1, 1, -1, -1))
        painter.end()

    def _paint_axis(self, painter: QPainter, columns: list[QRectF]) -> None:
        theme = self._theme
        floor = self.height() - AXIS_HEIGHT
        painter.setPen(QPen(theme.color("border-strong"), 1))
        painter.drawLine(QPointF(0, floor + 0.5), QPointF(self.width(), floor + 0.5))
        painter.setFont(theme.font("small"))
        painter.setPen(theme.color("text-muted"))
        widest = painter.fontMetrics().horizontalAdvance("000") + 12
        free = -1.0
        for row, column in zip(self._layers, columns, strict=False):
            if column.left() < free:
                continue
            free = column.left() + widest
            if free <= self.width() + 12:
                place = QRectF(column.left(), floor, widest, AXIS_HEIGHT)
                flags = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
                painter.drawText(place, flags, str(row.layer))
