"""What stands where messages will be: how to begin."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QStackedWidget, QWidget

from freehold.ui.chats.first_launch import FirstLaunch
from freehold.ui.state.default_model import has_own, starter_of
from freehold.ui.state.session import Session
from freehold.ui.theme import Theme
from freehold.ui.widgets.buttons import push_button
from freehold.ui.widgets.empty_state import EmptyState

QUESTIONS = ("What can you do?", "How do I download a model?")


class Welcome(QStackedWidget):
    """What stands there: no server yet, no model yet, the first launch, nothing said yet.

    Signals: import_asked, find_asked, bring_asked: ways to a model; start_asked(ref): begin with
        the starter model; question_asked(text): put to it.
    """

    import_asked = Signal()
    find_asked = Signal()
    bring_asked = Signal()
    start_asked = Signal(str)
    question_asked = Signal(str)

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
            "Ask, think aloud, or drop documents to ask about them. Chats and documents are kept on"
            " this machine only.",
        )
        self.questions = [
            push_button(theme, text, partial(self.question_asked.emit, text)) for text in QUESTIONS
        ]
        self.guide = EmptyState(
            theme,
            "chats",
            "Ask the starter model",
            "It is a very small guide to Freehold, in English and Russian, and can be wrong: the"
            " manual (F1) is right. For real work choose a bigger model above.",
            tuple(self.questions),
        )
        self.first = FirstLaunch(session, theme)
        self.first.start_asked.connect(self.start_asked)
        self.first.find_asked.connect(self.find_asked)
        self.first.bring_asked.connect(self.bring_asked)
        self.first.import_asked.connect(self.import_asked)
        self._begun = False
        for page in (self.starting, self.no_model, self.first, self.guide, self.blank):
            self.addWidget(page)
        self.refresh()

    @property
    def can_write(self) -> bool:
        """Return whether it makes sense to type something."""
        return self.currentWidget() not in (self.no_model, self.first)

    def offers(self, ref: str) -> bool:
        """Return whether `ref` is the starter, shown on the first page and not yet begun with."""
        return not self._begun and self.first.ref == ref

    def begin(self) -> None:
        """Leave the first page: the person has begun to chat."""
        self._begun = True

    def refresh(self, model_ref: str = "") -> None:
        """Show the state that fits; `model_ref` is the model of the chat."""
        models = self._session.models
        starter = starter_of(models)
        if self._session.state is None:
            self.setCurrentWidget(self.starting)
        elif starter is not None and not has_own(models) and not (self._begun and starter.ready):
            self.first.show_starter(starter)
            self.setCurrentWidget(self.first)
        elif not any(model.kind == "chat" for model in models):
            self.setCurrentWidget(self.no_model)
        elif starter is not None and starter.ref == model_ref:
            self.setCurrentWidget(self.guide)
        else:
            self.setCurrentWidget(self.blank)
