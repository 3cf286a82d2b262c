"""The chat list: all chats, the trash, or what a search found, as rows ready to be drawn."""

from __future__ import annotations

import datetime
import html
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    Qt,
    Signal,
)

from freehold.client.protocol import Client
from freehold.errors import AppError
from freehold.ui.state.delay import Delay
from freehold.ui.state.session import Session
from freehold.ui.tasks import spawn
from freehold.wire import Changed, ChatSummary, Resync, SearchHit

REFRESH_MS: Final = 150
SEARCH_MS: Final = 200
ROW_ROLE: Final = int(Qt.ItemDataRole.UserRole)


@dataclass(frozen=True, slots=True)
class Header:
    """The name of a group of chats."""

    title: str


Index = QModelIndex | QPersistentModelIndex
Action = Callable[[Client], Awaitable[Any]]
Row = Header | ChatSummary | SearchHit


class ChatRows(QAbstractListModel):
    """The rows of the chat list; `ROW_ROLE` gives the row itself."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: list[Row] = []

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or index.row() >= len(self._rows):
            return None
        row = self._rows[index.row()]
        if role == ROW_ROLE:
            return row
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return row.title or "New chat"
        if role == Qt.ItemDataRole.ToolTipRole and isinstance(row, ChatSummary):
            return f"<qt>{html.escape(row.title)}</qt>"  # a title must not become rich text
        return None

    def flags(self, index: Index) -> Qt.ItemFlag:
        if isinstance(self.data(index, ROW_ROLE), Header):
            return Qt.ItemFlag.NoItemFlags
        return Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable

    def show_rows(self, rows: list[Row]) -> None:
        """Show these rows; when only their content differs the view keeps its place."""
        if rows == self._rows:
            return
        if len(rows) == len(self._rows):
            self._rows = rows
            self.dataChanged.emit(self.index(0), self.index(len(rows) - 1))
            return
        self.beginResetModel()
        self._rows = rows
        self.endResetModel()

    def row_of(self, chat_id: str) -> int | None:
        """Return where a chat stands."""
        for number, row in enumerate(self._rows):
            if isinstance(row, ChatSummary) and row.id == chat_id:
                return number
        return None


class ChatList(QObject):
    """View-model of the list: what the server holds, kept up to date.

    Signals:
        changed: rows, trash or search changed.
        failed: something asked for did not work (AppError).
        trashed: a chat was moved to the trash (its summary), and may be taken back.
    """

    changed = Signal()
    failed = Signal(object)
    trashed = Signal(object)

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.rows = ChatRows(self)
        self.chats: tuple[ChatSummary, ...] = ()
        self.loaded = False
        self.in_trash = False
        self.query = ""
        self._hits: tuple[SearchHit, ...] = ()
        self._refresh = Delay(REFRESH_MS, self.refresh, self)
        self._search = Delay(SEARCH_MS, self.refresh, self)
        session.event_received.connect(self._on_event)
        session.connected.connect(self._refresh.start)

    def _on_event(self, event: object) -> None:
        changed = isinstance(event, Changed) and event.topic == "chats"
        if (changed or isinstance(event, Resync)) and not self._refresh.isActive():
            self._refresh.start()

    def refresh(self) -> None:
        """Read the list again."""
        spawn(self, self._read())

    def search(self, query: str) -> None:
        """Show messages holding these words; an empty query shows the list again."""
        self.query = query.strip()
        if self.query:
            self._search.start()
        else:
            self._search.stop()
            self.refresh()

    def show_trash(self, shown: bool) -> None:
        """Show the trash instead of the chats."""
        self.in_trash = shown
        self.refresh()

    async def _read(self) -> None:
        client, query, in_trash = self._session.client, self.query, self.in_trash
        try:
            if query:
                hits = await client.search_chats(query)
                chats = self.chats
            else:
                hits = ()
                chats = await client.chats(trashed=in_trash)
        except AppError as error:
            if error.code != "server_unreachable":  # the session tells that by itself
                self.failed.emit(error)
            return
        if (query, in_trash) != (self.query, self.in_trash):
            return  # another question was asked meanwhile
        self._hits, self.chats, self.loaded = hits, chats, True
        today = datetime.datetime.now().astimezone().date()
        self.rows.show_rows(
            list(hits) if query else list(chats) if in_trash else grouped(chats, today)
        )
        self.changed.emit()

    # --- acting ----------------------------------------------------------------------------------

    def pin(self, chat: ChatSummary) -> None:
        """Pin a chat to the top, or let it go."""
        self._do(lambda client: client.update_chat(chat.id, pinned=not chat.pinned))

    def rename(self, chat: ChatSummary, title: str) -> None:
        """Give a chat another title."""
        self._do(lambda client: client.update_chat(chat.id, title=title.strip()))

    def trash(self, chat: ChatSummary) -> None:
        """Move a chat to the trash."""
        self._do(lambda client: client.trash_chat(chat.id), trashed=chat)

    def restore(self, chat_id: str) -> None:
        """Take a chat out of the trash."""
        self._do(lambda client: client.restore_chat(chat_id))

    def delete(self, chat_id: str) -> None:
        """Delete a trashed chat for good."""
        self._do(lambda client: client.delete_chat(chat_id))

    def _do(self, action: Action, trashed: ChatSummary | None = None) -> None:
        spawn(self, self._done(action, trashed))

    async def _done(self, action: Action, trashed: ChatSummary | None) -> None:
        try:
            await action(self._session.client)
        except AppError as error:
            self.failed.emit(error)
            return
        if trashed is not None:
            self.trashed.emit(trashed)
        self.refresh()


def grouped(chats: Sequence[ChatSummary], today: datetime.date) -> list[Row]:
    """Return chats, last changed first, under the headings people look for."""
    groups: dict[str, list[ChatSummary]] = {}
    for chat in chats:
        groups.setdefault("Pinned" if chat.pinned else _age(chat.updated_at, today), []).append(
            chat
        )
    rows: list[Row] = []
    for title in ("Pinned", "Today", "Yesterday", "Previous 7 days", "Previous 30 days", "Earlier"):
        if title in groups:
            rows.append(Header(title))
            rows.extend(groups[title])
    return rows


def _age(updated_at: float, today: datetime.date) -> str:
    day = datetime.datetime.fromtimestamp(updated_at).astimezone().date()
    days = (today - day).days
    if days <= 0:
        return "Today"
    if days == 1:
        return "Yesterday"
    return "Previous 7 days" if days <= 7 else "Previous 30 days" if days <= 30 else "Earlier"
