"""A variant on a repository's page: size, fit, and its download."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from freehold.ui.library.words import facts_words, fit_role, variant_words
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.buttons import push_button
from freehold.ui.widgets.labels import ElidedLabel, set_role, text_label
from freehold.units import format_bytes
from freehold.wire import Download
from freehold.wire_library import HubVariant, VariantFacts


@dataclass(frozen=True, slots=True)
class VariantActions:
    """What a row asks for, each with the variant."""

    download: Callable[[HubVariant], object]
    inspect: Callable[[HubVariant], object]
    chat: Callable[[str], object]


class VariantRow(QWidget):
    """Shows a variant, and below it what its headers say once they were read."""

    def __init__(
        self,
        theme: Theme,
        variant: HubVariant,
        free_bytes: int,
        actions: VariantActions,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.variant = variant
        self._ref = variant.ref
        self._is_too_large = False
        self.name = ElidedLabel(variant.name or "Model", "strong")
        self.best = text_label("Recommended", "chip-accent")
        self.best.setVisible(variant.recommended)
        self.fit = text_label("", "chip")
        self.words = ElidedLabel(variant_words(variant), "small")
        self.reason = text_label("", "small", wrap=True)
        self.facts = text_label("", "small", wrap=True)
        self.facts.hide()
        self.inspect = push_button(theme, "Details", lambda: actions.inspect(variant), kind="quiet")
        self.download = push_button(
            theme,
            "Download",
            lambda: actions.download(variant),
            kind="primary" if variant.recommended else "plain",
        )
        self.chat = push_button(theme, "Chat", lambda: actions.chat(self._ref))
        for button, verb in (
            (self.inspect, "Details of"),
            (self.download, "Download"),
            (self.chat, "Chat with"),
        ):
            button.setAccessibleName(f"{verb} {variant.name}")
        self._lay_out()
        self._show_fit(free_bytes)
        self.show_download(None)

    def show_download(self, download: Download | None) -> None:
        """Show whether the variant is here or on its way."""
        if download is not None and download.state == "done" and download.ref:
            self._ref = download.ref
        here = bool(self._ref)
        on_its_way = download is not None and download.state != "done"
        self.chat.setVisible(here)
        self.download.setVisible(not here)
        self.download.setEnabled(not self.variant.missing and not on_its_way)
        text = "Download"
        if download is not None and on_its_way:
            share = download.done_bytes / max(1, download.total_bytes)
            waits = {"queued": "In the queue", "paused": "Paused", "failed": "Stopped"}
            text = waits.get(download.state, f"{share:.0%}")
        self.download.setText(text)

    def show_facts(self, facts: VariantFacts) -> None:
        """Show what the headers say; the fit is now calculated from them."""
        self.facts.setText(facts_words(facts))
        self.facts.show()
        self.inspect.hide()
        self.show_exact(facts)

    def show_exact(self, facts: VariantFacts) -> None:
        """Show the planner's fit in place of the one made from the size alone."""
        self.fit.setText(facts.fit.label)
        self.fit.setToolTip(f"{facts.fit.reason} ({facts.fit.level})")
        set_role(self.fit, "role", fit_role(facts.fit))
        if not self._is_too_large:
            self.reason.setText(facts.fit.reason)
            self.reason.show()

    def show_problem(self, text: str) -> None:
        """Show why the headers could not be read."""
        self.facts.setText(text)
        self.facts.show()
        self.inspect.setEnabled(True)

    def _show_fit(self, free_bytes: int) -> None:
        variant = self.variant
        if variant.missing:
            self.fit.setText("Incomplete")
            set_role(self.fit, "role", "chip-danger")
            self.reason.setText(f"{variant.missing} of its files are missing in the repository.")
            return
        if variant.fit is not None:
            self.fit.setText(variant.fit.label)
            self.fit.setToolTip(variant.fit.reason)
            set_role(self.fit, "role", fit_role(variant.fit))
        needed = variant.bytes + variant.bytes // 10
        self._is_too_large = bool(not variant.ref and free_bytes and needed > free_bytes)
        if self._is_too_large:
            self.reason.setText(
                f"Too large for the disk: {format_bytes(needed)} are needed,"
                f" {format_bytes(free_bytes)} are free."
            )
        elif variant.fit is not None and (variant.recommended or variant.fit.verdict == "disk"):
            self.reason.setText(variant.fit.reason)
        self.reason.setVisible(bool(self.reason.text()))

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.setSpacing(SIZES["space"])
        for widget in (self.name, self.fit, self.best):
            head.addWidget(widget)
        head.addStretch(1)
        words = QVBoxLayout()
        words.setSpacing(SIZES["space-half"])
        words.addLayout(head)
        words.addWidget(self.words)
        words.addWidget(self.reason)
        words.addWidget(self.facts)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, SIZES["space-half"], 0, SIZES["space-half"])
        row.setSpacing(SIZES["space"])
        row.addLayout(words, 1)
        for button in (self.inspect, self.download, self.chat):
            row.addWidget(button, 0, Qt.AlignmentFlag.AlignVCenter)
