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

    Signals: import_asked, models_asked.
    """

    import_asked = Signal()
    models_asked = Signal()

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
        self.no_model = EmptyState(
            theme,
            "models",
            "Bring a model of your own",
            "Freehold runs language models that lie on this machine, as GGUF files. Import one"
            " you have: it stays where it is, and nothing leaves the machine.",
            (
                self.import_button,
                push_button(theme, "Manage models", self.models_asked.emit),
            ),
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
