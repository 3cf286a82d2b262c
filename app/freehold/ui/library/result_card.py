"""A model that was found: on the short list, or on the hub."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from freehold.ui.library.words import fit_role, joined, model_facts
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.buttons import push_button
from freehold.ui.widgets.cards import Card
from freehold.ui.widgets.labels import ElidedLabel, text_label
from freehold.units import format_bytes, format_count
from freehold.wire_library import CatalogEntry, Fit, HubModel


class ResultCard(Card):
    """A name, what is known, whether it fits, and a way to its page."""

    def __init__(
        self,
        theme: Theme,
        repository: str,
        title: str,
        facts: str,
        about: str,
        chips: tuple[tuple[str, str, str], ...],
        choose: Callable[[str], object],
        parent: QWidget | None = None,
    ) -> None:
        """Make the card; chips: text, look, tool tip of each."""
        super().__init__(parent)
        self.repository = repository
        self.setAccessibleName(f"{title}, {facts}")
        head = QHBoxLayout()
        head.setSpacing(SIZES["space"])
        head.addWidget(ElidedLabel(title, "strong"))
        for text, role, tip in chips:
            chip = text_label(text, role)
            chip.setToolTip(tip)
            head.addWidget(chip)
        head.addStretch(1)
        words = QVBoxLayout()
        words.setSpacing(SIZES["space-half"])
        words.addLayout(head)
        if about:
            words.addWidget(text_label(about, "muted", wrap=True))
        words.addWidget(ElidedLabel(facts, "small"))
        self.open = push_button(theme, "View", lambda: choose(repository))
        self.open.setAccessibleName(f"View {title}")
        row = QHBoxLayout()
        row.setSpacing(SIZES["space-2"])
        row.addLayout(words, 1)
        row.addWidget(self.open, 0, Qt.AlignmentFlag.AlignVCenter)
        self.body.addLayout(row)


def catalog_card(theme: Theme, entry: CatalogEntry, choose: Callable[[str], object]) -> ResultCard:
    """Return the card of a model of the short list."""
    experts = f"{entry.experts_used} of {entry.experts} experts" if entry.experts else ""
    sizes = [variant.bytes for variant in entry.variants]
    span = ""
    if sizes:
        low, high = format_bytes(min(sizes)), format_bytes(max(sizes))
        span = low if low == high else f"{low} to {high}"
    facts = joined(
        f"{format_count(entry.parameters)} parameters",
        experts,
        f"{format_count(entry.context_tokens)} context",
        span,
        entry.licence,
    )
    best = best_fit(tuple(v.fit for v in entry.variants if v.fit is not None))
    chips = [(best.label, fit_role(best), best.reason)] if best is not None else []
    if entry.kind == "embedding":
        chips.append(("Embeddings", "chip", "For searching documents"))
    return ResultCard(theme, entry.repository, entry.name, facts, entry.about, tuple(chips), choose)


def hub_card(theme: Theme, model: HubModel, choose: Callable[[str], object]) -> ResultCard:
    """Return the card of a repository of the hub."""
    chips = (
        (("Gated", "chip-warning", "Its licence must be accepted on the hub first."),)
        if model.gated
        else ()
    )
    return ResultCard(
        theme, model.repository, model.repository, model_facts(model), "", chips, choose
    )


def best_fit(fits: tuple[Fit, ...]) -> Fit | None:
    """Return the best verdict among the variants of a model."""
    order = ("gpu", "gpu+ram", "disk", "no")
    return min(fits, key=lambda fit: order.index(fit.verdict), default=None)
