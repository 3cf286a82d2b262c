"""Which models search documents, and what can be done with scans and pictures."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QComboBox, QWidget

from freehold.ui.theme import Theme
from freehold.ui.widgets.cards import Card, SettingRow, rule
from freehold.ui.widgets.labels import text_label
from freehold.wire_documents import DocumentAbilities


class _Models(QComboBox):
    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()  # scrolling the page must not change it


class SearchModels(Card):
    """Signals: chosen(role, ref): another model is to be used."""

    chosen = Signal(str, str)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.embedder = self._combo("Embedding model", "embedder")
        self.reranker = self._combo("Reranking model", "reranker")
        self.body.addWidget(
            SettingRow(
                "By meaning",
                "An embedding model finds passages that say it in other words. After a change,"
                " collections offer to be rebuilt.",
                self.embedder,
            )
        )
        self.body.addWidget(rule())
        self.body.addWidget(
            SettingRow(
                "In order",
                "A reranking model, where one is installed, puts the best passages first.",
                self.reranker,
            )
        )
        self.body.addWidget(rule())
        self.scans = text_label("", "small", wrap=True)
        self.pictures = text_label("", "small", wrap=True)
        self.body.addWidget(self.scans)
        self.body.addWidget(self.pictures)

    def show_abilities(self, abilities: DocumentAbilities) -> None:
        """Show what there is."""
        _fill(self.embedder, abilities.embedders, abilities.embedder, "None installed")
        _fill(self.reranker, abilities.rerankers, abilities.reranker, "None")
        if abilities.ocr:
            self.scans.setText(f"Scans: text is recognised in {', '.join(abilities.ocr)}.")
        else:
            self.scans.setText(f"Scans: {abilities.ocr_hint}" if abilities.ocr_hint else "")
        self.scans.setVisible(bool(self.scans.text()))
        seen = abilities.vision or "the loaded model sees them."
        self.pictures.setText(f"Pictures: {seen}")

    def _combo(self, name: str, role: str) -> QComboBox:
        combo = _Models()
        combo.setAccessibleName(name)
        combo.setMinimumWidth(220)
        combo.activated.connect(lambda _at: self.chosen.emit(role, combo.currentData() or ""))
        return combo


def _fill(combo: QComboBox, refs: Sequence[str], chosen: str, nothing: str) -> None:
    names = list(refs) if refs and nothing == "None installed" else ["", *refs]
    if [combo.itemData(i) for i in range(combo.count())] != names:
        combo.clear()
        for ref in names:
            combo.addItem(ref or nothing, ref)
    combo.setCurrentIndex(max(0, combo.findData(chosen)))
    combo.setEnabled(len(names) > 1)
