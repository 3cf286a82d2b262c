"""What stands where messages will be: how to begin."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QStackedWidget, QWidget

from freehold.ui.state.session import Session
from freehold.ui.theme import Theme
from freehold.ui.widgets.buttons import push_button
from freehold.ui.widgets.empty_state import EmptyState


class Welcome(QStackedWidget):
    """Three empty states: no server yet, no model yet, nothing said yet.

    Signals: import_asked, find_asked.
    """

    import_asked = Signal()
    find_asked = Signal()

    def __init__(self, session: Session, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.starting = EmptyState(
            theme,
            "load",
            "Starting…",
            "The server that keeps your chats and runs your models is starting.",
        )
        self.import_button = push_button(
            theme, "Import a GGUF file…", self.import_asked.emit, kind="primary", icon="plus"
        )
        self.find_button = push_button(theme, "Find a model", self.find_asked.emit, icon="search")
        self.no_model = EmptyState(
            theme,
            "models",
            "Bring a model of your own",
            "A model is a file on this machine, and what you write to it never leaves the machine."
            " Import a GGUF file you have (it stays where it is), or find one to download.",
            (self.import_button, self.find_button),
        )
        self.blank = EmptyState(
            theme,
            "chats",
            "What is on your mind?",
            "Ask, paste a text, or think aloud. Chats are kept on this machine only.",
        )
        for page in (self.starting, self.no_model, self.blank):
            self.addWidget(page)
        self.refresh()

    @property
    def can_write(self) -> bool:
        """Return whether it makes sense to type something."""
        return self.currentWidget() is not self.no_model

    def refresh(self) -> None:
        """Show the state that fits."""
        if self._session.state is None:
            self.setCurrentWidget(self.starting)
        elif not any(model.kind == "chat" for model in self._session.models):
            self.setCurrentWidget(self.no_model)
        else:
            self.setCurrentWidget(self.blank)
