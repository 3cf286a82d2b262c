"""One model on the Models page: what it is, what it does now, what can be done with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QFrame, QHBoxLayout, QMenu, QProgressBar, QVBoxLayout, QWidget

from freehold.ui.state.models import ModelRow
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.buttons import icon_button, push_button
from freehold.ui.widgets.cards import Card
from freehold.ui.widgets.labels import ElidedLabel, prose, set_role, text_label
from freehold.units import format_bytes, format_count
from freehold.wire import ModelEntry

ORIGINS: Final = {
    "imported": "Imported",
    "downloaded": "Downloaded",
    "made": "Made here",
    "bundled": "Comes with Freehold",
}


@dataclass(frozen=True, slots=True)
class ModelActions:
    """What a card asks for, each with the model's ref."""

    load: Callable[[str], object]
    load_with: Callable[[str], object]
    unload: Callable[[str], object]
    chat: Callable[[str], object]
    make_default: Callable[[str], object]
    remove: Callable[[str], object]
    copy_path: Callable[[str], object]
    bring: Callable[[], object]
    inspect: Callable[[str], object]
    quantise: Callable[[str], object]


class ModelCard(Card):
    """Shows a `ModelRow`; `show_row` brings the next one."""

    def __init__(
        self, theme: Theme, row: ModelRow, actions: ModelActions, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._actions = actions
        self._row = row
        self.name = ElidedLabel("", "strong")
        self.bundled = text_label(ORIGINS["bundled"], "chip")
        self.default = text_label("Default", "chip-accent")
        self.state = text_label("", "chip")
        self.facts = ElidedLabel("", "small")
        self.place = ElidedLabel("", "small", mode=Qt.TextElideMode.ElideMiddle)
        self.about = text_label("", "small", wrap=True)
        self.problem = text_label("", "danger", wrap=True)
        self.next_step = text_label("", "muted", wrap=True)
        self.progress = QProgressBar()
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.chat = push_button(theme, "New chat", lambda: actions.chat(self._row.ref))
        self.load = push_button(theme, "Load", lambda: actions.load(self._row.ref))
        self.unload = push_button(theme, "Unload", lambda: actions.unload(self._row.ref))
        self.bring = push_button(theme, "Import a GGUF file…", actions.bring, icon="plus")
        self.more = icon_button(theme, "more", "More actions")
        self._make_menu()
        self._lay_out()
        self.show_row(row)

    @property
    def ref(self) -> str:
        return self._row.ref

    def show_row(self, row: ModelRow) -> None:
        """Show the model as it is now."""
        self._row = row
        entry, condition = row.entry, row.condition
        self.setAccessibleName(f"{entry.name}, {', '.join(row.facts)}")
        self.name.setText(entry.name)
        self.default.setVisible(row.is_default)
        is_bundled = entry.origin == "bundled"
        self.bundled.setVisible(is_bundled)
        about = about_text(entry) if condition != "broken" else ""
        self.about.setText(about)
        self.about.setVisible(bool(about))
        self.bring.setVisible(is_bundled and condition == "broken" and entry.kind == "chat")
        self.remove_action.setVisible(not is_bundled)  # what comes with Freehold stays with it
        self.facts.setText("  ·  ".join(row.facts))
        shards = f" · {entry.shards} files" if entry.shards > 1 else ""
        origin = "" if is_bundled else f"{ORIGINS.get(entry.origin, entry.origin)}{shards} · "
        self.place.setText(f"{origin}{entry.path}")
        text, look = state_text(row)
        self.state.setText(text)
        set_role(self.state, "role", look)
        error = row.error
        self.problem.setVisible(error is not None)
        self.next_step.setVisible(error is not None and bool(error.hint))
        if error is not None:
            self.problem.setText(prose(error.message))
            self.next_step.setText(prose(error.hint))
        self.progress.setVisible(condition == "loading")
        if row.engine is not None:
            self.progress.setValue(round(row.engine.fraction * 1000))
        self.load.setVisible(condition in ("idle", "failed"))
        again = "Load on the CPU" if row.falls_back else "Try again"
        self.load.setText(again if condition == "failed" else "Load")
        self.unload.setVisible(condition in ("loading", "loaded"))
        self.unload.setText("Cancel" if condition == "loading" else "Unload")
        self.chat.setVisible(condition in ("idle", "loaded") and entry.kind == "chat")
        for button, verb in (
            (self.load, "Load"),
            (self.unload, "Unload"),
            (self.chat, "Chat with"),
        ):
            button.setAccessibleName(f"{verb} {entry.name}")
        self.more.setAccessibleName(f"More actions for {entry.name}")
        self.progress.setAccessibleName(f"Loading {entry.name}")
        self.load_action.setEnabled(condition in ("idle", "loaded", "failed"))
        self.quantise_action.setEnabled(condition != "broken")
        self._default_action.setEnabled(not row.is_default and condition != "broken")

    def _make_menu(self) -> None:
        menu = QMenu(self)

        def add(text: str, action: Callable[[str], object]) -> QAction:
            made = menu.addAction(text)
            made.triggered.connect(lambda _checked=False: action(self._row.ref))
            return made

        self.load_action = add("Load with options…", self._actions.load_with)
        self._default_action = add("Use for new chats", self._actions.make_default)
        self.inspect_action = add("Inspect…", self._actions.inspect)
        self.quantise_action = add("Quantise…", self._actions.quantise)
        add("Copy path", self._actions.copy_path)
        menu.addSeparator()
        self.remove_action = add("Remove…", self._actions.remove)
        self.more.setMenu(menu)
        self.more.setPopupMode(self.more.ToolButtonPopupMode.InstantPopup)

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.setSpacing(SIZES["space"])
        head.addWidget(self.name)
        head.addWidget(self.bundled)
        head.addWidget(self.default)
        head.addWidget(self.state)
        head.addStretch(1)
        words = QVBoxLayout()
        words.setSpacing(SIZES["space-half"])
        words.addLayout(head)
        words.addWidget(self.about)
        words.addWidget(self.facts)
        words.addWidget(self.place)
        row = QHBoxLayout()
        row.setSpacing(SIZES["space"])
        row.addLayout(words, 1)
        for button in (self.chat, self.load, self.unload, self.bring):
            row.addWidget(button, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self.more, 0, Qt.AlignmentFlag.AlignVCenter)
        self.body.addLayout(row)
        self.body.addWidget(self.progress)
        self.body.addWidget(self.problem)
        self.body.addWidget(self.next_step)
        self.setFrameShape(QFrame.Shape.NoFrame)


def about_text(entry: ModelEntry) -> str:
    """Return what a model is for, where its name does not say so."""
    if entry.kind == "embedding":
        return "Turns text into numbers, so that documents are searched by meaning. It cannot chat."
    if entry.origin == "bundled":
        return "A first try of a guide: most of its answers are still wrong. Find a bigger model."
    return ""


def state_text(row: ModelRow) -> tuple[str, str]:
    """Return what the state chip says and its look."""
    engine = row.engine
    match row.condition:
        case "loading":
            return f"Loading · {engine.fraction:.0%}" if engine else "Loading", "chip-warning"
        case "loaded" if engine is not None:
            size = f" · {format_bytes(engine.resident_bytes)}" if engine.resident_bytes else ""
            context = f" · {format_count(engine.context_tokens)} context"
            return f"Loaded{size}{context if engine.context_tokens else ''}", "chip-accent"
        case "unloading":
            return "Unloading", "chip"
        case "failed":
            return "Could not be loaded", "chip-danger"
        case "broken":
            return "Not usable", "chip-danger"
        case _:
            return "On disk", "chip"
