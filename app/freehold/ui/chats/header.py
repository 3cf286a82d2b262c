"""The line above the messages: title, model, context, settings."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLineEdit, QWidget

from freehold.ui.chats.context_meter import ContextMeter
from freehold.ui.chats.model_picker import ModelButton, ModelMenu
from freehold.ui.chats.tips import plain_tip
from freehold.ui.state.conversation import Conversation
from freehold.ui.state.session import Session
from freehold.ui.theme import Theme
from freehold.ui.widgets.buttons import icon_button


class TitleEdit(QLineEdit):
    """The chat's title: looks like text until it is clicked. Signals: renamed(title)."""

    renamed = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title = ""
        self.setPlaceholderText("New chat")
        self.setAccessibleName("Chat title")
        self.setMaxLength(200)
        self.editingFinished.connect(self._on_finished)

    def show_title(self, title: str) -> None:
        """Show a title, unless it is being edited."""
        self._title = title
        if not self.hasFocus():
            self.setText(title)
            self.setCursorPosition(0)
            self.setToolTip(plain_tip(title))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.setText(self._title)
            self.clearFocus()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.clearFocus()
        else:
            super().keyPressEvent(event)

    def _on_finished(self) -> None:
        title = self.text().strip()
        self.setCursorPosition(0)
        if title and title != self._title:
            self._title = title
            self.renamed.emit(title)
        elif not title:
            self.setText(self._title)


class ChatHeader(QFrame):
    """The open chat's title, model, context use, and the way to its settings.

    Signals: models_page_requested, import_requested; settings_toggled(shown).
    """

    models_page_requested = Signal()
    import_requested = Signal()
    settings_toggled = Signal(bool)

    def __init__(
        self,
        conversation: Conversation,
        session: Session,
        theme: Theme,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("chatHeader")
        self._conversation, self._session = conversation, session
        self.title = TitleEdit(self)
        self.model_button = ModelButton(theme, self)
        self.menu = ModelMenu(session, theme, self)
        self.meter = ContextMeter(theme, self)
        self.settings_button = icon_button(theme, "settings", "Chat settings", parent=self)
        self.settings_button.setCheckable(True)
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 8, 12, 8)
        row.setSpacing(12)
        row.addWidget(self.title, 1)
        row.addWidget(self.meter)
        row.addWidget(self.model_button)
        row.addWidget(self.settings_button)
        self.title.renamed.connect(lambda title: conversation.update(title=title))
        self.model_button.clicked.connect(self.open_menu)
        self.menu.chosen.connect(lambda ref: conversation.update(model_ref=ref))
        self.menu.import_asked.connect(self.import_requested)
        self.menu.manage_asked.connect(self.models_page_requested)
        self.settings_button.toggled.connect(self.settings_toggled)
        conversation.details_changed.connect(self.refresh)
        session.models_changed.connect(self.refresh)
        session.engines_changed.connect(self.refresh)
        self.refresh()

    def open_menu(self) -> None:
        """Open the list of models."""
        self.menu.open_below(self.model_button, self._conversation.chat.model_ref)

    def refresh(self) -> None:
        """Show the chat as it is now."""
        chat = self._conversation.chat
        models = {model.ref: model for model in self._session.models}
        engines = {engine.ref: engine for engine in self._session.engines}
        model, engine = models.get(chat.model_ref), engines.get(chat.model_ref)
        self.title.show_title(chat.title)
        missing = bool(chat.model_ref) and model is None and self._session.state is not None
        name = model.name if model is not None else chat.model_ref
        self.model_button.show_model(name, engine, missing=missing)
        self.meter.show_use(chat.context_used_tokens, engine.context_tokens if engine else 0)
