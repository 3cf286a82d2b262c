"""The list of chats: grouped by age, searchable, with pin, rename and a trash that forgives."""

from __future__ import annotations

from functools import partial
from typing import Final

from PySide6.QtCore import QEvent, QModelIndex, QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHBoxLayout,
    QInputDialog,
    QLineEdit,
    QListView,
    QMenu,
    QVBoxLayout,
    QWidget,
)

from freehold.ui.chats.chat_rows import MENU_WIDTH, ChatRowPainter
from freehold.ui.chats.tips import plain_tip
from freehold.ui.icons import set_icon
from freehold.ui.state.chats import ROW_ROLE, ChatList
from freehold.ui.tasks import spawn
from freehold.ui.theme import Theme
from freehold.ui.widgets.buttons import icon_button, push_button
from freehold.ui.widgets.labels import ElidedLabel, text_label
from freehold.ui.widgets.question import Choice, ask
from freehold.wire import ChatSummary, SearchHit

UNDO_MS: Final = 10_000


class ChatListView(QListView):
    """The list itself. Signals: opened(row), menu_asked(row, place)."""

    opened = Signal(object)
    menu_asked = Signal(object, QPoint)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Chats")
        self.setItemDelegate(ChatRowPainter(theme, self))
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setMouseTracking(True)
        self.setLayoutMode(QListView.LayoutMode.Batched)
        self.setBatchSize(400)
        self.clicked.connect(self._open)
        theme.changed.connect(self.viewport().update)

    def _open(self, index: QModelIndex) -> None:
        row = index.data(ROW_ROLE)
        if isinstance(row, ChatSummary | SearchHit):
            self.opened.emit(row)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        place = event.position().toPoint()
        is_chat = isinstance(self.indexAt(place).data(ROW_ROLE), ChatSummary)
        at_menu = is_chat and place.x() > self.viewport().width() - MENU_WIDTH
        if at_menu and event.button() == Qt.MouseButton.LeftButton:
            self._ask_menu(self.indexAt(place), place)
        else:
            super().mousePressEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._open(self.currentIndex())
        elif event.key() == Qt.Key.Key_Menu or (
            event.key() == Qt.Key.Key_F10 and event.modifiers() & Qt.KeyboardModifier.ShiftModifier
        ):
            place = self.visualRect(self.currentIndex()).center()
            self._ask_menu(self.currentIndex(), place)
        else:
            super().keyPressEvent(event)  # no key deletes a chat

    def contextMenuEvent(self, event: object) -> None:
        place = event.pos()  # type: ignore[attr-defined]
        self._ask_menu(self.indexAt(place), place)

    def _ask_menu(self, index: QModelIndex, place: QPoint) -> None:
        row = index.data(ROW_ROLE)
        if isinstance(row, ChatSummary):
            self.menu_asked.emit(row, self.viewport().mapToGlobal(place))


class ChatPanel(QFrame):
    """Search, new chat, the list, the trash.

    Signals: chat_opened(id, message id or ""), new_chat_asked, chat_gone(id): it was moved to the
    trash or deleted.
    """

    chat_opened = Signal(str, str)
    new_chat_asked = Signal()
    chat_gone = Signal(str)

    def __init__(self, chats: ChatList, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("chatPanel")
        self.setMinimumWidth(220)
        self._chats, self._theme = chats, theme
        self._shown = ""
        self._undo: ChatSummary | None = None
        self.new_button = push_button(
            theme, "New chat", self.new_chat_asked.emit, icon="plus", parent=self
        )
        self.new_button.setToolTip("Ctrl+N")
        self.search = QLineEdit(self)
        self.search.setPlaceholderText("Search chats")
        self.search.setAccessibleName("Search all chats")
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(chats.search)
        self.search.installEventFilter(self)
        self.list = ChatListView(theme, self)
        self.list.setModel(chats.rows)
        self.list.opened.connect(self._on_opened)
        self.list.menu_asked.connect(self._show_menu)
        self.none = text_label("", "small", wrap=True, parent=self)
        self.none.setContentsMargins(8, 8, 8, 8)
        self.none.setAlignment(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop)
        self.trash_button = push_button(theme, "Trash", self._toggle_trash, kind="quiet")
        set_icon(self.trash_button, theme, "trash")
        self._build_undo(theme)
        column = QVBoxLayout(self)
        column.setContentsMargins(10, 12, 10, 8)
        column.setSpacing(8)
        column.addWidget(self.new_button)
        column.addWidget(self.search)
        column.addWidget(self.none)
        column.addWidget(self.list, 1)
        column.addWidget(self._strip)
        column.addWidget(self.trash_button)
        chats.changed.connect(self._refresh)
        chats.trashed.connect(self._on_trashed)
        self._refresh()

    def _build_undo(self, theme: Theme) -> None:
        self._strip = QFrame(self)
        self._strip.setObjectName("undoStrip")
        row = QHBoxLayout(self._strip)
        row.setContentsMargins(12, 4, 4, 4)
        self._undo_words = ElidedLabel("", parent=self._strip)
        self.undo_button = push_button(theme, "Undo", self.undo, kind="quiet", parent=self._strip)
        row.addWidget(self._undo_words, 1)
        row.addWidget(self.undo_button)
        row.addWidget(icon_button(theme, "close", "Dismiss", self._strip.hide, parent=self._strip))
        self._strip.hide()
        self._undo_timer = QTimer(self)
        self._undo_timer.setSingleShot(True)
        self._undo_timer.setInterval(UNDO_MS)
        self._undo_timer.timeout.connect(self._strip.hide)

    def focus_search(self) -> None:
        """Put the cursor into the search box."""
        self.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.search.selectAll()

    def mark(self, chat_id: str) -> None:
        """Mark the chat that is open."""
        self._shown = chat_id
        row = self._chats.rows.row_of(chat_id) if chat_id else None
        index = self._chats.rows.index(row) if row is not None else QModelIndex()
        if index != self.list.currentIndex():
            self.list.setCurrentIndex(index)
            if not index.isValid():
                self.list.clearSelection()

    def undo(self) -> None:
        """Take the chat just moved to the trash back."""
        if self._undo is not None:
            self._chats.restore(self._undo.id)
            self._undo = None
        self._strip.hide()

    # --- inside ----------------------------------------------------------------------------------

    def _refresh(self) -> None:
        chats, words = self._chats, ""
        if chats.rows.rowCount() == 0:
            if chats.query:
                words = f"Nothing found for “{chats.query}”."
            elif chats.in_trash:
                words = "The trash is empty."
            elif chats.loaded:
                words = "No chats yet. What you write is kept here."
        elif chats.in_trash and not chats.query:
            words = "Chats stay here for 30 days."
        self.none.setText(words)
        self.none.setVisible(bool(words))
        self.trash_button.setText("Back to chats" if chats.in_trash else "Trash")
        set_icon(self.trash_button, self._theme, "chevron-left" if chats.in_trash else "trash")
        self.mark(self._shown)

    def _on_opened(self, row: ChatSummary | SearchHit) -> None:
        if isinstance(row, ChatSummary):
            self.chat_opened.emit(row.id, "")
        else:
            self.chat_opened.emit(row.chat_id, row.message_id)

    def _on_trashed(self, chat: ChatSummary) -> None:
        self._undo = chat
        self._undo_words.setText("Moved to the trash")
        self._undo_words.setToolTip(plain_tip(chat.title))
        self._strip.show()
        self._undo_timer.start()
        self.chat_gone.emit(chat.id)

    def _toggle_trash(self) -> None:
        self.search.clear()
        self._chats.show_trash(not self._chats.in_trash)

    def _show_menu(self, chat: ChatSummary, place: QPoint) -> None:
        menu = self.make_menu(chat)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(place)

    def make_menu(self, chat: ChatSummary) -> QMenu:
        """Return what can be done with a chat."""
        menu = QMenu(self)
        if chat.trashed_at is not None:
            menu.addAction("Restore", partial(self._chats.restore, chat.id))
            menu.addAction("Delete for good…", lambda: spawn(self, self._delete(chat)))
            return menu
        menu.addAction("Unpin" if chat.pinned else "Pin", partial(self._chats.pin, chat))
        menu.addAction("Rename…", partial(self._rename, chat))
        menu.addSeparator()
        menu.addAction("Move to trash", partial(self._chats.trash, chat))
        return menu

    def _rename(self, chat: ChatSummary) -> None:
        dialog = QInputDialog(self.window())
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setWindowTitle("Rename chat")
        dialog.setLabelText("Title")
        dialog.setTextValue(chat.title)
        dialog.textValueSelected.connect(
            lambda title: self._chats.rename(chat, title) if title.strip() else None
        )
        dialog.open()

    async def _delete(self, chat: ChatSummary) -> None:
        answer = await ask(
            self._theme,
            self.window(),
            "Delete this chat for good?",
            f"“{chat.title or 'New chat'}” and all its versions are removed from this machine."
            " This cannot be undone.",
            (Choice("cancel", "Cancel"), Choice("delete", "Delete", "danger")),
        )
        if answer.key == "delete":
            self._chats.delete(chat.id)
            self.chat_gone.emit(chat.id)

    def eventFilter(self, watched: object, event: QEvent) -> bool:
        if watched is self.search and isinstance(event, QKeyEvent) and _is_press(event):
            if event.key() == Qt.Key.Key_Escape and self.search.text():
                self.search.clear()
                return True
            if event.key() == Qt.Key.Key_Down:
                self.list.setFocus()
                return True
        return super().eventFilter(watched, event)  # type: ignore[arg-type]


def _is_press(event: QEvent) -> bool:
    return event.type() == QEvent.Type.KeyPress
