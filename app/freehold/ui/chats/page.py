"""The Chats page: the list, the open chat, and what is typed."""

from __future__ import annotations

import asyncio

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import (
    QHideEvent,
    QKeyEvent,
    QKeySequence,
    QResizeEvent,
    QShortcut,
    QShowEvent,
)
from PySide6.QtWidgets import QHBoxLayout, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from freehold.errors import AppError
from freehold.ui.chats.chat_panel import ChatPanel
from freehold.ui.chats.column import MESSAGE_WIDTH, SIDE
from freehold.ui.chats.columns import has_room_for_list
from freehold.ui.chats.composer import Composer
from freehold.ui.chats.header import ChatHeader
from freehold.ui.chats.message_view import UserMessage
from freehold.ui.chats.settings_panel import SettingsPanel
from freehold.ui.chats.sheet import SHEET
from freehold.ui.chats.transcript import Transcript
from freehold.ui.chats.welcome import Welcome
from freehold.ui.documents.chat_side import ChatSide
from freehold.ui.documents.sheet import SHEET as DOCUMENTS_SHEET
from freehold.ui.documents.side_by_side import SideBySide
from freehold.ui.documents.words import scan_offer
from freehold.ui.state.chats import ChatList
from freehold.ui.state.conversation import Conversation, new_token
from freehold.ui.state.default_model import choose_default
from freehold.ui.state.drafts import Drafts
from freehold.ui.state.sending import sending_words
from freehold.ui.state.session import Session
from freehold.ui.tasks import spawn
from freehold.ui.theme import Theme
from freehold.ui.widgets.banner import BannerStack
from freehold.wire_documents import DocumentInfo


class ChatsPage(QWidget):
    """Where people spend their day.

    Signals:
        models_page_requested: the person wants to see all models.
        import_requested: the person wants to import a model file.
        find_requested: the person wants to look for a model to download.
    """

    models_page_requested = Signal()
    import_requested = Signal()
    find_requested = Signal()

    def __init__(self, session: Session, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        self._shown_id = ""
        self._token, self._token_for = "", ("", "")
        self.conversation = Conversation(session, self)
        self.chats = ChatList(session, self)
        self.drafts = Drafts(session, self.conversation.store_draft, self)
        self.panel = ChatPanel(self.chats, theme, self)
        self.header = ChatHeader(self.conversation, session, theme, self)
        self.banners = BannerStack(theme, self)
        self.transcript = Transcript(self.conversation, session, theme, self)
        self.welcome = Welcome(session, theme, self)
        self.composer = Composer(theme, self)
        self.side = ChatSide(session, self.conversation, self.composer, theme, self)
        self._sending: asyncio.Task[None] | None = None
        self.settings = SettingsPanel(theme, self)
        self.settings.hide()
        self.setFocusProxy(self.composer.box)
        self._lay_out()
        self._connect()
        self._apply_sheet()
        self.new_chat()

    def _lay_out(self) -> None:
        self._stack = QStackedWidget(self)
        self._stack.addWidget(self.welcome)
        self._stack.addWidget(self.transcript)
        foot = QHBoxLayout()
        bar = self.transcript.verticalScrollBar().sizeHint().width()
        foot.setContentsMargins(SIDE, 0, SIDE + bar, 0)
        self.composer.setMaximumWidth(MESSAGE_WIDTH)
        foot.addStretch(1)
        foot.addWidget(self.composer, 1000)
        foot.addStretch(1)
        middle = QWidget(self)
        column = QVBoxLayout(middle)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.header)
        column.addWidget(self.banners)
        body = QHBoxLayout()
        body.setSpacing(0)
        talk = QWidget(self)
        chat = QVBoxLayout(talk)
        chat.setContentsMargins(0, 0, 0, 0)
        chat.setSpacing(0)
        chat.addWidget(self._stack, 1)
        chat.addLayout(foot)
        self.beside = SideBySide(talk, self.side.reader, self)
        body.addWidget(self.beside, 1)
        body.addWidget(self.settings)
        column.addLayout(body, 1)
        splitter = QSplitter(Qt.Orientation.Horizontal, self)
        splitter.setHandleWidth(1)
        splitter.setChildrenCollapsible(False)
        splitter.addWidget(self.panel)
        splitter.addWidget(middle)
        splitter.setStretchFactor(1, 1)
        splitter.setSizes([264, 900])
        outer = QHBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(splitter)

    def _connect(self) -> None:
        conversation, composer = self.conversation, self.composer
        self.panel.chat_opened.connect(self.show_chat)
        self.panel.new_chat_asked.connect(self.new_chat)
        self.panel.chat_gone.connect(self._on_chat_gone)
        self.chats.failed.connect(self.show_error)
        conversation.failed.connect(self.show_error)
        conversation.opened.connect(self._on_opened)
        conversation.branch_changed.connect(self._refresh)
        conversation.details_changed.connect(self._on_details_changed)
        conversation.reply_changed.connect(self._refresh)
        self.header.models_page_requested.connect(self.models_page_requested)
        self.header.import_requested.connect(self.import_requested)
        self.header.settings_toggled.connect(self._show_settings)
        self.welcome.import_asked.connect(self.import_requested)
        self.welcome.find_asked.connect(self.find_requested)
        self.welcome.bring_asked.connect(self.models_page_requested)
        self.welcome.start_asked.connect(self._start)
        self.welcome.question_asked.connect(self._send)
        self.settings.closed.connect(lambda: self.header.settings_button.setChecked(False))
        self.settings.prompt_changed.connect(lambda text: conversation.update(system_prompt=text))
        self.settings.sampling_changed.connect(lambda found: conversation.update(sampling=found))
        self.transcript.edit_saved.connect(self._edit)
        composer.send_asked.connect(self._send)
        composer.stop_asked.connect(self._stop)
        self.side.attachments.failed.connect(self.show_error)
        self.side.attachments.noted.connect(
            lambda text: self.banners.put("documents", "info", text, "")
        )
        self.side.offered.connect(self._offer)
        self.side.reader_shown.connect(self._make_room)
        self.transcript.citation_asked.connect(self.side.open_citation)
        self.transcript.citation_hovered.connect(self.side.hover_citation)
        self.transcript.document_asked.connect(self.side.open_document)
        composer.edit_last_asked.connect(self.edit_last)
        composer.typed.connect(self._on_typed)
        session = self._session
        for signal in (session.models_changed, session.engines_changed, session.connected):
            signal.connect(self._refresh)
        session.connected.connect(self._choose_model)
        session.models_changed.connect(self._choose_model)
        self._theme.changed.connect(self._apply_sheet)
        for keys, call in (("Ctrl+L", self.header.open_menu), ("Ctrl+R", self.regenerate_last)):
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(call)

    # --- what the window asks for ----------------------------------------------------------------

    def new_chat(self) -> None:
        """Begin a new chat; it is stored when something is typed."""
        if self._session.state is not None:
            self.welcome.begin()
        self._leave()
        self.conversation.open_blank(self._default_model())
        self.composer.box.setFocus()

    def _start(self, ref: str) -> None:
        """Begin to chat with the starter model, which gets ready meanwhile."""
        self.welcome.begin()
        self.conversation.update(model_ref=ref)
        self._refresh()
        self.composer.box.setFocus()
        spawn(self, self._session.client.load_model(ref), failed=self.show_error)

    def show_chat(self, chat_id: str, message_id: str = "") -> None:
        """Open a stored chat, at a message where one is named."""
        if chat_id and (message_id or chat_id != self._shown_id):
            self._leave()
            self.conversation.open(chat_id, message_id)

    def focus_search(self) -> None:
        """Put the cursor into the search box."""
        if not self.panel.isVisible():
            self.header.settings_button.setChecked(False)
        self.panel.focus_search()

    def show_error(self, error: AppError) -> None:
        """Show what did not work, and what to do."""
        self.banners.put("chat", "error", error.message, error.hint)

    async def save(self) -> None:
        """Save what is typed; for the end of the program."""
        self.settings.save_now()
        await self.drafts.save()

    # --- sending ---------------------------------------------------------------------------------

    def _send(self, text: str) -> None:
        chat = self.conversation.chat
        if not chat.model_ref and self._session.state is not None:
            self.composer.say("Choose a model first.", problem=True)
            self.header.open_menu()
            return
        if self._token_for != (chat.id, text):
            # The same text sent again after a broken line is the same message.
            self._token, self._token_for = new_token(), (chat.id, text)
        self.composer.set_sending(True)
        self._sending = spawn(self, self._sent(text, self._token))

    def _stop(self) -> None:
        """Stop the answer, or take a question back that waits for its documents."""
        if self._sending is not None and not self._sending.done() and not self.conversation.busy:
            self._sending.cancel()
        self.conversation.stop()

    def _offer(self, scans: tuple[DocumentInfo, ...]) -> None:
        def recognise() -> None:
            self.banners.take("scans")
            self.side.recognise(scans)

        title, text = scan_offer(scans)
        self.banners.put("scans", "info", title, text, action=("Recognise the text", recognise))

    def _make_room(self) -> None:
        """Let the list of chats give way to what stands beside a chat where room is short."""
        reading, settings = not self.side.reader.isHidden(), not self.settings.isHidden()
        room = has_room_for_list(self.width(), reading=reading, settings=settings)
        self.panel.setVisible(room)
        QTimer.singleShot(0, self.beside, self.beside.arrange)  # when the room is there

    async def _sent(self, text: str, token: str) -> None:
        try:
            if not await self.side.prepare():
                return
            await self.conversation.send(text, token)
        except AppError as error:
            self._token_for = (self.conversation.chat.id, text)
            self.composer.say(f"Not sent. {error.sentence}", problem=True)
            return
        finally:
            self.composer.set_sending(False)
        self._token_for = ("", "")
        self.banners.take("chat")
        self.composer.fill("")
        self.side.sent()
        self.drafts.type(self._shown_id, "")
        self._refresh()

    def _edit(self, message_id: str, text: str) -> None:
        spawn(self, self._edited(message_id, text))

    async def _edited(self, message_id: str, text: str) -> None:
        try:
            await self.conversation.edit(message_id, text, new_token())
        except AppError as error:
            self.show_error(error)

    def edit_last(self) -> None:
        """Edit the last question."""
        if self.conversation.busy:
            return
        for view in reversed(self.transcript.views):
            if isinstance(view, UserMessage):
                view.edit()
                return

    def regenerate_last(self) -> None:
        """Write another answer to the last question."""
        messages = self.conversation.messages
        if messages and messages[-1].role == "assistant" and not self.conversation.busy:
            self.conversation.regenerate(messages[-1].id)

    # --- keeping up ------------------------------------------------------------------------------

    def _leave(self) -> None:
        self.settings.save_now()
        self.drafts.save_now()
        self.composer.say("")
        self.banners.take("chat")
        self.banners.take("documents")
        self.banners.take("scans")

    def _on_opened(self) -> None:
        chat = self.conversation.chat
        self._shown_id = chat.id
        self.composer.fill(self.drafts.text(chat.id, chat.draft))
        self.panel.mark(chat.id)
        self.settings.show_chat(chat)
        self._refresh()
        self._tell_trashed()
        self.composer.box.setFocus()

    def _tell_trashed(self) -> None:
        chat_id = self.conversation.chat.id
        if self.conversation.chat.trashed_at is None:
            self.banners.take("trash")
            return
        self.banners.put(
            "trash",
            "info",
            "This chat is in the trash.",
            "It can be read. Restore it to write.",
            action=("Restore", lambda: self.chats.restore(chat_id)),
            dismissable=False,
        )

    def _on_details_changed(self) -> None:
        chat = self.conversation.chat
        if not self._shown_id and chat.id and not self.conversation.loading:
            if not chat.messages and not chat.total:
                self.drafts.move(chat.id)
            self._shown_id = chat.id
            self.panel.mark(chat.id)
        self.settings.show_chat(chat)
        self._refresh()
        self._tell_trashed()

    def _on_typed(self, text: str) -> None:
        self.drafts.type(self._shown_id, text)
        self._say_idle()

    def _on_chat_gone(self, chat_id: str) -> None:
        if chat_id == self._shown_id:
            self.new_chat()

    def _refresh(self) -> None:
        conversation = self.conversation
        empty = not conversation.messages and not conversation.loading
        if not empty:
            self.welcome.begin()
        self.welcome.refresh(conversation.chat.model_ref)
        self._stack.setCurrentWidget(self.welcome if empty else self.transcript)
        self.composer.set_busy(conversation.busy)
        trashed = conversation.chat.trashed_at is not None
        writable = self.welcome.can_write or not empty or bool(self.side.attachments.items)
        self.composer.setVisible(writable and not trashed)
        self._say_idle()

    def _say_idle(self) -> None:
        """Say below the box what sending would do, when that is not plain."""
        session, ref = self._session, self.conversation.chat.model_ref
        known = session.state is not None and not self.conversation.busy
        words = sending_words(ref, session.models, session.engines) if known else ("", False)
        self.composer.say(words[0], problem=words[1])

    def _choose_model(self) -> None:
        """Give a blank chat a model as soon as one is known, and the person's own when it comes."""
        chat, wanted = self.conversation.chat, self._default_model()
        waits = not chat.model_ref or self.welcome.offers(chat.model_ref)
        if not chat.id and waits and wanted not in ("", chat.model_ref):
            self.conversation.update(model_ref=wanted)

    def _default_model(self) -> str:
        session, recent = self._session, [chat.model_ref for chat in self.chats.chats[:20]]
        default = session.settings.default_model_ref
        return choose_default(session.models, session.engines, default, recent)

    def _show_settings(self, shown: bool) -> None:
        self.settings.setVisible(shown)
        self._make_room()
        if shown:
            self.settings.prompt.setFocus()
        else:
            self.settings.save_now()

    def _apply_sheet(self) -> None:
        self.setStyleSheet(self._theme.fill(SHEET + DOCUMENTS_SHEET))

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self.composer.isVisible():
            self.composer.box.setFocus()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self.width() != event.oldSize().width():
            self._make_room()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self.settings.save_now()
        self.drafts.save_now()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape and self.conversation.busy:
            self.conversation.stop()
        else:
            super().keyPressEvent(event)
