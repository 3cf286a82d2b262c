"""What is typed but not sent, by chat: kept here until the server has it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from PySide6.QtCore import QObject

from freehold.errors import AppError
from freehold.ui.state.delay import Delay
from freehold.ui.state.session import Session
from freehold.ui.tasks import spawn

PAUSE_MS: Final = 500


class Drafts(QObject):
    """Drafts of all chats this window touched; saved after a pause, again when the server is back.

    `store_draft` gives the id of a new chat for what was typed into one that is not stored.
    """

    def __init__(
        self,
        session: Session,
        store_draft: Callable[[], Awaitable[str]],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._store_draft = store_draft
        self._texts: dict[str, str] = {}
        self._unsaved: set[str] = set()
        self._timer = Delay(PAUSE_MS, self.save_now, self)
        session.connected.connect(self.save_now)

    @property
    def unsaved(self) -> frozenset[str]:
        """Return the chats whose draft the server does not have yet."""
        return frozenset(self._unsaved)

    def text(self, chat_id: str, stored: str) -> str:
        """Return what to show in the box: newer than `stored` if typed here and not saved."""
        return self._texts[chat_id] if chat_id in self._unsaved else stored

    def type(self, chat_id: str, text: str) -> None:
        """Keep what is typed; it is saved after a pause."""
        self._texts[chat_id] = text
        if chat_id or text.strip():
            self._unsaved.add(chat_id)
        else:
            self._unsaved.discard(chat_id)
        self._timer.start()

    def forget(self, chat_id: str) -> None:
        """Drop a draft that was sent; the server cleared its copy."""
        self._texts.pop(chat_id, None)
        self._unsaved.discard(chat_id)

    def move(self, chat_id: str) -> None:
        """Let the draft of the blank belong to the chat it was stored as."""
        if "" in self._texts:
            self._texts[chat_id] = self._texts.pop("")
        if "" in self._unsaved:
            self._unsaved.discard("")
            self._unsaved.add(chat_id)

    def save_now(self) -> None:
        """Save everything unsaved without waiting for the pause."""
        self._timer.stop()
        if self._unsaved:
            spawn(self, self.save())

    async def save(self) -> None:
        """Save everything unsaved; what fails stays unsaved."""
        for chat_id in tuple(self._unsaved):
            text = self._texts.get(chat_id, "")
            try:
                target = chat_id or await self._store_draft()
                await self._session.client.save_draft(target, text)
            except AppError as error:
                if error.code == "not_found":
                    self.forget(chat_id)  # the chat is gone, and its draft with it
                continue
            if not chat_id:
                self.move(target)
            if self._texts.get(target) == text:
                self._unsaved.discard(target)
