"""What a model is, on one page: its size, where its bytes are, its vocabulary, its files."""

from __future__ import annotations

from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from freehold.ui.library.inspect.byte_map import LayerChart, TotalBar
from freehold.ui.library.inspect.pieces import Legend
from freehold.ui.library.words import joined
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.cards import Card, KeyValue, section_title
from freehold.ui.widgets.labels import text_label
from freehold.ui.widgets.switch import Switch
from freehold.units import format_bytes, format_count
from freehold.wire_files import ModelAnatomy

MOST_FILES = 40
MOST_TYPES = 8


class Overview(QScrollArea):
    """Built anew for each model."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.facts: KeyValue | None = None
        self.layers: LayerChart | None = None
        self.layer_words = text_label("", "small", wrap=True)
        self.without_experts = Switch(theme, "Leave the experts out")
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)

    def show_anatomy(self, anatomy: ModelAnatomy) -> None:
        """Show a model."""
        page = QWidget()
        page.setProperty("page", True)
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, SIZES["space"], SIZES["space-3"])
        column.setSpacing(SIZES["space-2"])
        column.addWidget(self._facts(anatomy))
        column.addWidget(section_title("Where the bytes are"))
        column.addWidget(self._picture(anatomy))
        column.addWidget(section_title("Vocabulary"))
        column.addWidget(_vocabulary(anatomy))
        column.addWidget(section_title("Files" if len(anatomy.files) > 1 else "File"))
        column.addWidget(_files(anatomy))
        column.addStretch(1)
        self.setWidget(page)

    def _facts(self, anatomy: ModelAnatomy) -> Card:
        card, facts = Card(), KeyValue()
        for key, value in fact_rows(anatomy):
            facts.set(key, value)
        self.facts = facts
        card.body.addWidget(facts)
        return card

    def _picture(self, anatomy: ModelAnatomy) -> Card:
        card = Card()
        card.body.setSpacing(SIZES["space-2"])
        card.body.addWidget(TotalBar(self._theme, anatomy.bytes_by_piece))
        card.body.addWidget(Legend(self._theme, anatomy.bytes_by_piece))
        self.layers = LayerChart(self._theme, anatomy.layer_bytes)
        self.layer_words = text_label(
            "Point at a layer, or use the arrow keys.", "small", wrap=True
        )
        self.layers.chosen.connect(self.layer_words.setText)
        if anatomy.layers:
            card.body.addLayout(self._layers_head(anatomy))
            card.body.addWidget(self.layers)
            card.body.addWidget(self.layer_words)
        else:
            self.layers.hide()
            self.layers.setParent(card)
        types = sorted(anatomy.bytes_by_type.items(), key=lambda item: -item[1])
        shown = ", ".join(f"{name} {format_bytes(size)}" for name, size in types[:MOST_TYPES])
        more = f", and {len(types) - MOST_TYPES} more types" if types[MOST_TYPES:] else ""
        card.body.addWidget(text_label(f"By type: {shown}{more}", "small", wrap=True))
        card.body.addWidget(text_label("Counted from the file's own list of tensors.", "small"))
        return card

    def _layers_head(self, anatomy: ModelAnatomy) -> QHBoxLayout:
        row = QHBoxLayout()
        row.addWidget(text_label("By layer", "strong"))
        row.addStretch(1)
        self.without_experts = Switch(self._theme, "Leave the experts out")
        label = text_label("Leave the experts out", "muted")
        for widget in (label, self.without_experts):
            widget.setVisible(bool(anatomy.bytes_by_piece.get("experts")))
        self.without_experts.toggled.connect(
            lambda on: self.layers.leave_out("experts" if on else "") if self.layers else None
        )
        row.addWidget(label)
        row.addWidget(self.without_experts)
        return row


def fact_rows(anatomy: ModelAnatomy) -> list[tuple[str, str]]:
    """Return names and values of the first card; what the file does not say is left out."""
    active = ""
    if anatomy.experts:
        share = anatomy.active_parameters / max(1, anatomy.parameters)
        active = f", {format_count(anatomy.active_parameters)} at work per token ({share:.1%})"
    experts = (
        f"{anatomy.experts:,} per layer, {anatomy.experts_used} chosen for each token"
        if anatomy.experts
        else "none: every weight works for every token"
    )
    used_for = "Chat" if anatomy.kind == "chat" else "Embeddings, for searching"
    rows = [
        ("Made for", used_for),
        ("Architecture", anatomy.arch),
        ("Parameters", f"{format_count(anatomy.parameters)}{active}"),
        ("Experts", experts),
        ("Layers", joined(str(anatomy.layers), f"width {anatomy.embedding_size:,}")),
        ("Context", f"{anatomy.context_tokens:,} tokens" if anatomy.context_tokens else ""),
        (
            "Quantisation",
            joined(anatomy.quant, f"{anatomy.bits_per_weight:.2f} bits per weight on average"),
        ),
        (
            "Size",
            f"{format_bytes(anatomy.tensor_bytes)} of weights in {anatomy.tensors:,} tensors,"
            f" {format_bytes(anatomy.header_bytes)} of header",
        ),
        ("Licence", anatomy.licence),
        ("Made from", anatomy.base or anatomy.source),
        ("Here too", ", ".join(anatomy.relatives[:4])),
    ]
    return [(key, value) for key, value in rows if value]


def _vocabulary(anatomy: ModelAnatomy) -> Card:
    card, table, told = Card(), KeyValue(), anatomy.tokenizer
    merges = f"{told.merges:,} merges" if told.merges else ""
    table.set("Tokens", joined(f"{told.tokens:,}", merges))
    table.set("Tokenizer", joined(told.model, told.pre) or "not named")
    for token in told.special:
        role = f"{token.role[0].upper()}{token.role[1:]}"
        shown = "".join(char if char.isprintable() else "�" for char in token.text)
        table.set(role, joined(f"{shown}" if shown else "", f"number {token.id:,}"))
    card.body.addWidget(table)
    return card


def _files(anatomy: ModelAnatomy) -> Card:
    card, table = Card(), KeyValue()
    for number, file in enumerate(anatomy.files[:MOST_FILES], start=1):
        table.set(
            f"{number}", f"{format_bytes(file.bytes)}  ·  {file.tensors:,} tensors  ·  {file.path}"
        )
    card.body.addWidget(table)
    if anatomy.files[MOST_FILES:]:
        rest = len(anatomy.files) - MOST_FILES
        card.body.addWidget(text_label(f"and {rest} more files", "small"))
    return card
