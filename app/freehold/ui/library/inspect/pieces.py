"""The pieces of a model on the screen: their words, colours and patterns.

Each piece has a pattern of its own, so that they differ without colour too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QBrush, QPainter, QPaintEvent
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QWidget

from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.labels import text_label
from freehold.units import format_bytes

SWATCH: Final = 16
LEGEND_COLUMNS: Final = 3
WORDS: Final[Mapping[str, str]] = {
    "experts": "Experts",
    "shared_experts": "Shared expert",
    "attention": "Attention",
    "feed_forward": "Feed-forward, routing",
    "embeddings": "Embeddings, output",
    "norms": "Norms",
    "other": "Other",
}
TOKENS: Final[Mapping[str, str]] = {
    "experts": "part-experts",
    "shared_experts": "part-shared-experts",
    "attention": "part-attention",
    "feed_forward": "part-dense",
    "embeddings": "part-kv-cache",
    "norms": "part-compute",
    "other": "part-other",
}
PATTERNS: Final[Mapping[str, Qt.BrushStyle]] = {
    "experts": Qt.BrushStyle.SolidPattern,
    "shared_experts": Qt.BrushStyle.BDiagPattern,
    "attention": Qt.BrushStyle.FDiagPattern,
    "feed_forward": Qt.BrushStyle.DiagCrossPattern,
    "embeddings": Qt.BrushStyle.HorPattern,
    "norms": Qt.BrushStyle.VerPattern,
    "other": Qt.BrushStyle.Dense6Pattern,
}


def fill(painter: QPainter, place: QRectF, piece: str, theme: Theme) -> None:
    """Paint a piece's colour, and its pattern over it."""
    painter.fillRect(place, theme.color(TOKENS[piece]))
    pattern = PATTERNS[piece]
    if pattern != Qt.BrushStyle.SolidPattern:
        over = theme.color("surface")
        over.setAlpha(150)
        painter.fillRect(place, QBrush(over, pattern))


def piece_words(sizes: Mapping[str, int]) -> str:
    """Return "Experts 6.12 GB, Attention 107 MB", largest first."""
    ordered = sorted(sizes.items(), key=lambda item: -item[1])
    return ", ".join(f"{WORDS.get(name, name)} {format_bytes(size)}" for name, size in ordered)


class Swatch(QWidget):
    """A square in a piece's colour and pattern."""

    def __init__(self, theme: Theme, piece: str) -> None:
        super().__init__()
        self._theme, self._piece = theme, piece
        self.setFixedSize(QSize(SWATCH, SWATCH))
        theme.changed.connect(self.update)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        fill(painter, QRectF(self.rect()), self._piece, self._theme)
        painter.setPen(self._theme.color("border-strong"))
        painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()


class Legend(QWidget):
    """The pieces a model has, with bytes and share."""

    def __init__(self, theme: Theme, sizes: Mapping[str, int]) -> None:
        super().__init__()
        whole = max(1, sum(sizes.values()))
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(SIZES["space-3"])
        grid.setVerticalSpacing(SIZES["space"])
        shown = [piece for piece in WORDS if sizes.get(piece)]
        for place, piece in enumerate(shown):
            share = sizes[piece] / whole
            words = f"{share:.1%}" if share >= 0.001 else "under 0.1%"
            item = QWidget()
            row = QHBoxLayout(item)
            row.setContentsMargins(0, 0, 0, 0)
            row.setSpacing(SIZES["space"])
            row.addWidget(Swatch(theme, piece))
            text = f"{WORDS[piece]}  {format_bytes(sizes[piece])}, {words}"
            row.addWidget(text_label(text, "small"), 1)
            grid.addWidget(item, place // LEGEND_COLUMNS, place % LEGEND_COLUMNS)
