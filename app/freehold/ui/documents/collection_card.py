"""A collection on the Documents page: its files and folders, how far its index is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from PySide6.QtCore import QPoint, QSize, Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QMenu, QProgressBar, QVBoxLayout, QWidget

from freehold.ui.documents.words import PHASES, collection_words, use_words
from freehold.ui.icons import pixmap
from freehold.ui.state.gathering import isolated
from freehold.ui.theme import Theme
from freehold.ui.widgets.buttons import icon_button, push_button
from freehold.ui.widgets.labels import ElidedLabel, set_role, text_label
from freehold.wire_documents import Collection, DocumentUse

ROLES: Final = {
    "waiting": "chip",
    "reading": "chip-accent",
    "embedding": "chip-accent",
    "ready": "chip",
    "paused": "chip-warning",
    "error": "chip-danger",
}
AT_WORK: Final = ("waiting", "reading", "embedding")


@dataclass(frozen=True, slots=True)
class CollectionActions:
    """What a card asks for, each with the collection."""

    chat: Callable[[Collection], object]
    pause: Callable[[Collection], object]
    rebuild: Callable[[Collection], object]
    edit: Callable[[Collection], object]
    files: Callable[[Collection], object]
    remove: Callable[[Collection], object]


class CollectionCard(QFrame):
    """Shows a `Collection`; `show_collection` brings the next one."""

    def __init__(
        self,
        theme: Theme,
        collection: Collection,
        actions: CollectionActions,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._theme, self._actions = theme, actions
        self.collection = collection
        self.setProperty("docRow", True)
        self._icon = QLabel()
        self.name = ElidedLabel("", "strong")
        self.state = text_label("", "chip")
        self.words = ElidedLabel("", "small")
        self.sources = ElidedLabel("", "small", mode=Qt.TextElideMode.ElideMiddle)
        self.stale = text_label("", "warning", wrap=True)
        self.problem = text_label("", "danger", wrap=True)
        self.hint = text_label("", "small", wrap=True)
        self.uses = ElidedLabel("", "small")
        self.uses.hide()
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.rebuild_button = push_button(
            theme, "Rebuild", lambda: actions.rebuild(self.collection), icon="refresh"
        )
        self.chat_button = push_button(theme, "Ask about it", lambda: actions.chat(self.collection))
        self.pause_button = icon_button(
            theme, "pause", "Pause", lambda: actions.pause(self.collection)
        )
        self.resume_button = icon_button(
            theme, "play", "Go on", lambda: actions.pause(self.collection)
        )
        self.more_button = icon_button(theme, "more", "More", self._open_menu)
        self.menu = self._make_menu()
        self._lay_out()
        theme.changed.connect(self._paint_icon)
        self.show_collection(collection)

    def _make_menu(self) -> QMenu:
        menu = QMenu(self)
        for text, action in (
            ("Rename, add or take away…", self._actions.edit),
            ("Show its files…", self._actions.files),
            ("Rebuild", self._actions.rebuild),
            ("Delete…", self._actions.remove),
        ):
            menu.addAction(text).triggered.connect(
                lambda _checked=False, act=action: act(self.collection)
            )
        return menu

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.setSpacing(8)
        head.addWidget(self.name, 1)
        head.addWidget(self.state)
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addLayout(head)
        for part in (
            self.words,
            self.sources,
            self.bar,
            self.stale,
            self.problem,
            self.hint,
            self.uses,
        ):
            words.addWidget(part)
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 8, 4, 8)
        row.setSpacing(12)
        row.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(words, 1)
        row.addWidget(self.rebuild_button)
        row.addWidget(self.chat_button)
        for button in (self.pause_button, self.resume_button, self.more_button):
            button.setIconSize(QSize(18, 18))
            row.addWidget(button)

    def show_uses(self, uses: Sequence[DocumentUse]) -> None:
        """Say which chats use it."""
        self.uses.setText(use_words(uses))
        self.uses.setVisible(bool(uses))

    def show_collection(self, collection: Collection) -> None:
        """Show the collection as it is now."""
        self.collection = collection
        phase, error = collection.phase, collection.error
        self.name.setText(collection.name)
        share = min(1.0, collection.done / collection.total) if collection.total else 0.0
        moving = phase in ("reading", "embedding")
        self.state.setText(f"{PHASES[phase]} {share:.0%}" if moving else PHASES[phase])
        set_role(self.state, "role", ROLES[phase])
        self.words.setText(collection_words(collection))
        self.words.setVisible(error is None)
        self.sources.setText(source_words(collection))
        self.bar.setVisible(moving)
        self.bar.setValue(round(1000 * share))
        self.stale.setText(collection.stale)
        self.stale.setVisible(bool(collection.stale))
        self.rebuild_button.setVisible(bool(collection.stale) or error is not None)
        self.problem.setText(error.message if error is not None else "")
        self.problem.setVisible(error is not None)
        hint = error.hint if error is not None else " ".join(collection.notes)
        self.hint.setText(hint)
        self.hint.setVisible(bool(hint))
        self.pause_button.setVisible(phase in AT_WORK)
        self.resume_button.setVisible(phase == "paused")
        self.setAccessibleName(f"Collection {collection.name}: {self.words.text()}")
        self._paint_icon()

    def _open_menu(self) -> None:
        corner = self.more_button.mapToGlobal(QPoint(0, self.more_button.height()))
        self.menu.popup(corner - QPoint(self.menu.sizeHint().width() - self.more_button.width(), 0))

    def _paint_icon(self) -> None:
        failed = self.collection.phase == "error"
        color = self._theme.hex("danger" if failed else "accent")
        name = "error" if failed else "folder"
        self._icon.setPixmap(pixmap(name, color, 24, self.devicePixelRatioF()))


def source_words(collection: Collection) -> str:
    """Return where a collection's files come from."""
    if not collection.sources:
        return "No files or folders yet"
    if len(collection.sources) == 1:
        return f"\u2066{collection.sources[0]}\u2069"
    names = [isolated(source) for source in collection.sources[:4]]
    more = len(collection.sources) - len(names)
    return ", ".join(names) + (f" and {more:,} more" if more else "")
