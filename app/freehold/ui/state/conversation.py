"""The open chat: its active branch, its streaming reply, and everything a person may do to it.

A cache of what the server holds. A chat that was not stored yet is a blank with id "".
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable
from typing import Any, Final

import msgspec
from PySide6.QtCore import QObject, Signal

from freehold.client.protocol import Client
from freehold.errors import AppError
from freehold.ui.state.delay import Delay
from freehold.ui.state.reply import BUSY, Reply
from freehold.ui.state.session import Session
from freehold.ui.tasks import spawn
from freehold.wire import (
    Changed,
    Chat,
    Message,
    ReplyDelta,
    ReplyFinished,
    ReplyProgress,
    Resync,
    Sent,
)

PAGE_MESSAGES: Final = 30
SEEK_MESSAGES: Final = 200
RELOAD_MS: Final = 120


class Conversation(QObject):
    """View-model of the open chat.

    Signals:
        opened: another chat is shown; read everything again.
        found: the message the chat was opened for is among those loaded (its id).
        branch_changed: messages or versions changed; those with a known id may be kept.
        older_loaded: earlier messages were put before the others (how many).
        reply_changed: `reply` is another one, or none.
        details_changed: title, model, prompt, sampling or context use changed.
        failed: something asked for did not work (AppError).
    """

    opened = Signal()
    found = Signal(str)
    branch_changed = Signal()
    older_loaded = Signal(int)
    reply_changed = Signal()
    details_changed = Signal()
    failed = Signal(object)

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.chat = blank_chat()
        self.messages: list[Message] = []
        self.siblings: dict[str, tuple[str, ...]] = {}
        self.total = 0
        self.reply: Reply | None = None
        self.loading = False
        self._wanted = ""
        self._storing = asyncio.Lock()
        self._loading_older = False
        self._reload_timer = Delay(RELOAD_MS, self._reload_later, self)
        session.event_received.connect(self._on_event)
        session.connected.connect(self._on_connected)

    @property
    def busy(self) -> bool:
        """Return whether a reply is under way."""
        return self.reply is not None

    @property
    def has_older(self) -> bool:
        """Return whether the branch begins before what is loaded."""
        return len(self.messages) < self.total

    # --- opening ---------------------------------------------------------------------------------

    def open_blank(self, model_ref: str) -> None:
        """Show a chat that is stored only when something is typed into it."""
        self._wanted = ""
        self.loading = False
        self._adopt(blank_chat(model_ref))
        self.opened.emit()

    def open(self, chat_id: str, message_id: str = "") -> None:
        """Show a stored chat, with enough of it to hold a message that is looked for."""
        self._wanted = chat_id
        self.loading = True
        spawn(self, self._open(chat_id, message_id))

    async def _open(self, chat_id: str, message_id: str) -> None:
        try:
            chat = await self._session.client.chat(chat_id, limit=PAGE_MESSAGES)
            if message_id and not holds(chat, message_id):
                chat = await self._reach(chat, message_id)
        except AppError as error:
            self.loading = False
            self.failed.emit(error)
            return
        if self._wanted == chat_id:
            self.loading = False
            self._adopt(chat)
            self.opened.emit()
            if self.place_of(message_id) is not None:
                self.found.emit(message_id)

    async def _reach(self, chat: Chat, message_id: str) -> Chat:
        """Return the chat with more of its branch, or another branch, so that it holds a message.

        One that is gone meanwhile leaves the chat as it is.
        """
        client = self._session.client
        found = await load_back(client, chat, message_id)
        if not holds(found, message_id):
            await client.select(message_id)
            newest = await client.chat(chat.id, limit=PAGE_MESSAGES)
            found = await load_back(client, newest, message_id)
        return found if holds(found, message_id) else chat

    def place_of(self, message_id: str) -> int | None:
        """Return where a message stands among those loaded."""
        ids = [message.id for message in self.messages]
        return ids.index(message_id) if message_id in ids else None

    def load_older(self) -> None:
        """Load the page before the first loaded message."""
        if self._loading_older or not self.has_older or not self.messages:
            return
        self._loading_older = True
        spawn(self, self._load_older(self.chat.id, self.messages[0].id))

    async def _load_older(self, chat_id: str, before: str) -> None:
        try:
            page = await self._session.client.chat(chat_id, limit=PAGE_MESSAGES, before=before)
        except AppError as error:
            self.failed.emit(error)
            return
        finally:
            self._loading_older = False
        if self.chat.id == chat_id and self.messages and self.messages[0].id == before:
            self.messages[:0] = page.messages
            self.siblings.update(page.siblings)
            self.total = page.total if page.messages else len(self.messages)
            self.older_loaded.emit(len(page.messages))

    async def reload(self) -> None:
        """Read the open chat again, as much of it as is loaded."""
        chat_id = self.chat.id
        if not chat_id:
            return
        limit = max(PAGE_MESSAGES, len(self.messages))
        try:
            chat = await self._session.client.chat(chat_id, limit=limit)
        except AppError as error:
            if error.code != "server_unreachable":  # the session tells that by itself
                self.failed.emit(error)
            return
        if self.chat.id == chat_id:
            self._adopt(chat)
            self.branch_changed.emit()

    # --- acting ----------------------------------------------------------------------------------

    async def ensure_stored(self) -> str:
        """Return the chat's id; a blank one is stored first."""
        async with self._storing:  # a draft and a message may want it at the same time
            return self.chat.id or await self._store_blank()

    async def store_draft(self) -> str:
        """Return the id of a chat for text typed into a blank, on screen or left meanwhile."""
        async with self._storing:
            return await self._store_blank()

    async def _store_blank(self) -> str:
        blank = self.chat
        chat = await self._session.client.create_chat(model_ref="" if blank.id else blank.model_ref)
        if self.chat is blank and not blank.id and not self._wanted:
            self._wanted = chat.id
            self.chat = chat
            self.details_changed.emit()
        return chat.id

    async def send(self, text: str, token: str) -> None:
        """Send a message at the end of the branch; raises AppError and changes nothing then."""
        chat_id = await self.ensure_stored()
        parent = self.messages[-1].id if self.messages else None
        sent = await self._session.client.send(chat_id, text, parent_id=parent, token=token)
        self._follow(chat_id, sent, keep=len(self.messages))

    async def edit(self, message_id: str, text: str, token: str) -> None:
        """Write a question anew as another branch; raises AppError and changes nothing then."""
        chat_id, keep = self.chat.id, self._index(message_id)
        sent = await self._session.client.edit(message_id, text, token=token)
        self._follow(chat_id, sent, keep=keep)
        await self.reload()

    def regenerate(self, message_id: str) -> None:
        """Write another answer beside this one."""
        spawn(self, self._reported(self._regenerate(message_id)))

    def select(self, message_id: str) -> None:
        """Show the branch through this message."""
        spawn(self, self._reported(self._select(message_id)))

    def stop(self) -> None:
        """End the reply under way; what came is kept."""
        if self.reply is not None:
            spawn(self, self._reported(self._stop(self.reply.id)))

    def update(self, **changes: Any) -> None:
        """Change title, model_ref, system_prompt, pinned or sampling."""
        if not self.chat.id and set(changes) == {"model_ref"}:
            self.chat = msgspec.structs.replace(self.chat, **changes)
            self.details_changed.emit()
            return
        spawn(self, self._reported(self._update(changes)))

    async def _update(self, changes: dict[str, Any]) -> None:
        chat_id = await self.ensure_stored()
        await self._session.client.update_chat(chat_id, **changes)
        if self.chat.id == chat_id:
            known = {name: value for name, value in changes.items() if name != "pinned"}
            self.chat = msgspec.structs.replace(self.chat, **known)
            self.details_changed.emit()

    async def _regenerate(self, message_id: str) -> None:
        chat_id, keep = self.chat.id, self._index(message_id)
        sent = await self._session.client.regenerate(message_id)
        self._follow(chat_id, sent, keep=keep)
        await self.reload()

    async def _stop(self, message_id: str) -> None:
        await self._session.client.stop_reply(message_id)

    async def _select(self, message_id: str) -> None:
        chat_id = self.chat.id
        await self._session.client.select(message_id)
        if self.chat.id == chat_id:
            await self.reload()

    async def _reported(self, action: Awaitable[None]) -> None:
        try:
            await action
        except AppError as error:
            self.failed.emit(error)

    # --- keeping up ------------------------------------------------------------------------------

    def _on_event(self, event: object) -> None:
        if isinstance(event, ReplyDelta | ReplyProgress):
            if self.reply is not None:
                self.reply.take(event)
        elif isinstance(event, ReplyFinished):
            if self.reply is not None and event.message.id == self.reply.id:
                self.reply.take(event)
            elif event.chat_id == self.chat.id:
                self._reload_timer.start()
        elif self.chat.id and (
            isinstance(event, Resync)
            or (isinstance(event, Changed) and (event.topic, event.id) == ("chat", self.chat.id))
        ):
            self._reload_timer.start()

    def _on_connected(self) -> None:
        if self.reply is not None:
            self.reply.read_again()
        if self.chat.id:
            self._reload_timer.start()
        elif self._wanted:
            self.open(self._wanted)

    def _reload_later(self) -> None:
        spawn(self, self.reload())

    def _adopt(self, chat: Chat) -> None:
        """Take a chat as the server gave it; a reply under way keeps what is ahead of it."""
        self.chat = chat
        self.messages = list(chat.messages)
        self.siblings = dict(chat.siblings)
        self.total = chat.total
        self._follow_reply()
        self.details_changed.emit()

    def _follow(self, chat_id: str, sent: Sent, keep: int) -> None:
        """Put what was just sent behind the first `keep` messages."""
        if self.chat.id != chat_id:
            return
        known = {message.id for message in self.messages}
        fresh = [m for m in (sent.user_message, sent.reply) if m is not None and m.id not in known]
        if fresh:
            dropped = len(self.messages) - keep
            self.messages[keep:] = fresh
            self.total += len(fresh) - dropped
            self._follow_reply()
        self.branch_changed.emit()

    def _follow_reply(self) -> None:
        last = self.messages[-1] if self.messages else None
        reply = self.reply
        if reply is not None and last is not None and last.id == reply.id:
            if last.status not in BUSY:
                reply.finish(last)
            return
        if reply is not None:
            self._drop_reply()
        if last is not None and last.status in BUSY:
            self.reply = Reply(last, self._session, self)
            self.reply.finished.connect(self._on_reply_finished)
            self.reply_changed.emit()
        elif reply is not None:
            self.reply_changed.emit()

    def _drop_reply(self) -> None:
        if self.reply is not None:
            self.reply.deleteLater()
            self.reply = None

    def _on_reply_finished(self) -> None:
        reply = self.reply
        if reply is None or not reply.is_final:
            return
        final = reply.message
        self.messages = [final if m.id == final.id else m for m in self.messages]
        self._drop_reply()
        self.reply_changed.emit()
        self._reload_timer.start()  # context use and title may have changed

    def _index(self, message_id: str) -> int:
        place = self.place_of(message_id)
        return len(self.messages) if place is None else place


def holds(chat: Chat, message_id: str) -> bool:
    """Return whether a message is among those loaded."""
    return any(message.id == message_id for message in chat.messages)


async def load_back(client: Client, chat: Chat, message_id: str) -> Chat:
    """Return the chat with older messages, page by page until one of them is the one named."""
    while not holds(chat, message_id) and chat.messages:
        first = chat.messages[0].id
        page = await client.chat(chat.id, limit=SEEK_MESSAGES, before=first)
        if not page.messages:
            break
        chat = msgspec.structs.replace(
            chat,
            messages=(*page.messages, *chat.messages),
            siblings={**page.siblings, **chat.siblings},
        )
    return chat


def blank_chat(model_ref: str = "") -> Chat:
    """Return a chat that is not stored yet."""
    return Chat(
        id="",
        title="",
        created_at=0.0,
        updated_at=0.0,
        model_ref=model_ref,
        system_prompt="",
        draft="",
        messages=(),
        total=0,
        siblings={},
    )


def new_token() -> str:
    """Return a token that makes sending the same message twice harmless."""
    return uuid.uuid4().hex
