"""A document on the Documents page: what it is, how far it is, what can be done with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QProgressBar, QVBoxLayout, QWidget

from freehold.ui.documents.words import (
    PHASES,
    facts_of,
    icon_of,
    index_words,
    scan_words,
    use_words,
)
from freehold.ui.icons import pixmap
from freehold.ui.theme import Theme
from freehold.ui.widgets.buttons import icon_button, push_button
from freehold.ui.widgets.labels import ElidedLabel, set_role, text_label
from freehold.wire_documents import DocumentAbilities, DocumentInfo, DocumentUse

ROLES: Final = {"reading": "chip-accent", "ready": "chip", "failed": "chip-danger"}


@dataclass(frozen=True, slots=True)
class DocumentActions:
    """What a row asks for, each with the document."""

    open: Callable[[DocumentInfo], object]
    chat: Callable[[DocumentInfo], object]
    recognise: Callable[[DocumentInfo], object]
    remove: Callable[[DocumentInfo], object]


class DocumentRow(QFrame):
    """Shows a `DocumentInfo`; `show_document` brings the next one."""

    def __init__(
        self,
        theme: Theme,
        info: DocumentInfo,
        actions: DocumentActions,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._theme, self._actions = theme, actions
        self.info = info
        self._can_recognise, self._scan_hint = False, ""
        self.setProperty("docRow", True)
        self._icon = QLabel()
        self.name = ElidedLabel("", "strong", mode=Qt.TextElideMode.ElideMiddle)
        self.facts = ElidedLabel("", "small")
        self.index = ElidedLabel("", "small")
        self.state = text_label("", "chip")
        self.problem = text_label("", "danger", wrap=True)
        self.hint = text_label("", "small", wrap=True)
        self.uses = ElidedLabel("", "small")
        self.uses.hide()
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.recognise_button = push_button(
            theme, "Recognise the text", lambda: actions.recognise(self.info)
        )
        self.chat_button = push_button(theme, "Ask about it", lambda: actions.chat(self.info))
        self.open_button = push_button(theme, "Open", lambda: actions.open(self.info))
        self.remove_button = icon_button(
            theme, "trash", "Delete…", lambda: actions.remove(self.info)
        )
        self.remove_button.setIconSize(QSize(18, 18))
        self._lay_out()
        theme.changed.connect(self._paint_icon)
        self.show_document(info)

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.setSpacing(8)
        head.addWidget(self.name, 1)
        head.addWidget(self.state)
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addLayout(head)
        for part in (self.facts, self.index, self.bar, self.problem, self.hint, self.uses):
            words.addWidget(part)
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 8, 4, 8)
        row.setSpacing(12)
        row.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(words, 1)
        for button in (self.recognise_button, self.open_button, self.chat_button):
            row.addWidget(button, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self.remove_button, 0, Qt.AlignmentFlag.AlignVCenter)

    def show_uses(self, uses: Sequence[DocumentUse]) -> None:
        """Say which chats use it."""
        self.uses.setText(use_words(uses))
        self.uses.setVisible(bool(uses))

    def show_abilities(self, abilities: DocumentAbilities) -> None:
        """Offer what can be done with a scan."""
        told = (bool(abilities.ocr), abilities.ocr_hint)
        if told != (self._can_recognise, self._scan_hint):
            self._can_recognise, self._scan_hint = told
            self.show_document(self.info)

    def show_document(self, info: DocumentInfo) -> None:
        """Show the document as it is now."""
        self.info = info
        self.name.setText(info.name)
        self.facts.setText(facts_of(info))
        self.facts.setVisible(bool(facts_of(info)))
        hint = "" if self._can_recognise else self._scan_hint
        words = scan_words(info, hint) or index_words(info)
        self.index.setText(words)
        self.index.setVisible(bool(words))
        share = info.done / info.total if info.total else 0.0
        reading = info.phase == "reading"
        self.state.setText(f"Reading {share:.0%}" if reading and info.total else PHASES[info.phase])
        set_role(self.state, "role", ROLES[info.phase])
        self.bar.setVisible(reading)
        self.bar.setValue(round(1000 * share))
        error = info.error
        self.problem.setVisible(error is not None)
        self.problem.setText(error.message if error is not None else "")
        notes = " ".join(info.notes)
        hint = error.hint if error is not None else notes
        self.hint.setVisible(bool(hint))
        self.hint.setText(hint)
        ready = info.phase == "ready"
        self.open_button.setVisible(ready)
        self.chat_button.setVisible(ready)
        self.recognise_button.setVisible(ready and self._can_recognise and info.scan_pages > 0)
        self.setAccessibleName(f"{info.name}: {self.state.text()}, {self.facts.text()}")
        for button, verb in ((self.open_button, "Open"), (self.chat_button, "Ask about"),
                             (self.remove_button, "Delete")):  # fmt: skip
            button.setAccessibleName(f"{verb} {info.name}")
        self._paint_icon()

    def _paint_icon(self) -> None:
        failed = self.info.phase == "failed"
        name = "error" if failed else icon_of(self.info.kind, self.info.name)
        color = self._theme.hex("danger" if failed else "accent")
        self._icon.setPixmap(pixmap(name, color, 24, self.devicePixelRatioF()))

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if self.info.phase == "ready":
            self._actions.open(self.info)
        super().mouseDoubleClickEvent(event)
