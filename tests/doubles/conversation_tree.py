"""Chats kept in memory as trees of messages, as a server keeps them on disk."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from freehold.errors import AppError
from freehold.wire import Chat, ChatSummary, Message, SearchHit

BUSY = ("waiting", "streaming")


@dataclass
class Conversation:
    """One chat: its messages by id in order of creation, and the child chosen at each step."""

    id: str
    title: str
    created_at: float
    updated_at: float
    model_ref: str = ""
    system_prompt: str = ""
    draft: str = ""
    pinned: bool = False
    sampling: dict[str, object] = field(default_factory=dict)
    trashed_at: float | None = None
    messages: dict[str, Message] = field(default_factory=dict)
    chosen: dict[str | None, str] = field(default_factory=dict)

    def children(self, parent_id: str | None) -> tuple[str, ...]:
        """Return the ids below `parent_id`, in order of creation."""
        return tuple(m.id for m in self.messages.values() if m.parent_id == parent_id)

    def branch(self) -> tuple[Message, ...]:
        """Return the active branch, root first."""
        found: list[Message] = []
        parent: str | None = None
        while True:
            children = self.children(parent)
            if not children:
                return tuple(found)
            parent = self.chosen.get(parent, children[-1])
            found.append(self.messages[parent])

    def add(self, message: Message) -> Message:
        """Store a message and make the branch through it the active one."""
        self.messages[message.id] = message
        self.choose(message.id)
        return message

    def choose(self, message_id: str) -> None:
        """Make the branch through `message_id` the active one."""
        step: str | None = message_id
        while step is not None:
            parent = self.messages[step].parent_id
            self.chosen[parent] = step
            step = parent

    def busy(self) -> bool:
        """Return whether a reply is under way."""
        return any(m.status in BUSY for m in self.messages.values())

    def siblings(self, messages: Sequence[Message]) -> dict[str, tuple[str, ...]]:
        """Return, for each of these messages with alternatives, all their ids."""
        groups = {m.id: self.children(m.parent_id) for m in messages}
        return {id_: group for id_, group in groups.items() if len(group) > 1}

    def summary(self) -> ChatSummary:
        """Return the row of the chat list."""
        return ChatSummary(
            id=self.id,
            title=self.title,
            updated_at=self.updated_at,
            model_ref=self.model_ref,
            pinned=self.pinned,
            busy=self.busy(),
            trashed_at=self.trashed_at,
        )

    def view(self, limit: int | None = None, before: str | None = None) -> Chat:
        """Return the chat with a window of its active branch."""
        branch = self.branch()
        end = len(branch)
        if before is not None:
            ids = [m.id for m in branch]
            if before not in ids:
                raise AppError("not_found", "That message is not in this chat.", "Reload the chat.")
            end = ids.index(before)
        start = 0 if limit is None else max(0, end - limit)
        stats = [m.stats for m in branch if m.stats is not None]
        used = stats[-1].prompt_tokens + stats[-1].completion_tokens if stats else 0
        return Chat(
            id=self.id,
            title=self.title,
            created_at=self.created_at,
            updated_at=self.updated_at,
            model_ref=self.model_ref,
            system_prompt=self.system_prompt,
            draft=self.draft,
            messages=branch[start:end],
            total=len(branch),
            siblings=self.siblings(branch[start:end]),
            sampling=dict(self.sampling),
            context_used_tokens=used,
            trashed_at=self.trashed_at,
        )


class Conversations:
    """All chats of a server double."""

    def __init__(self) -> None:
        self._by_id: dict[str, Conversation] = {}
        self._ids = itertools.count(1)

    def __iter__(self) -> Iterator[Conversation]:
        return iter(self._by_id.values())

    def new_id(self, kind: str) -> str:
        """Return a fresh id, `chat-1`, `message-2`."""
        return f"{kind}-{next(self._ids)}"

    def create(self, *, title: str, model_ref: str, now: float) -> Conversation:
        """Make an empty chat."""
        chat = Conversation(
            id=self.new_id("chat"), title=title, model_ref=model_ref, created_at=now, updated_at=now
        )
        self._by_id[chat.id] = chat
        return chat

    def chat(self, chat_id: str) -> Conversation:
        """Return a chat or raise `not_found`."""
        if chat_id not in self._by_id:
            raise AppError("not_found", "That chat does not exist.", "It may have been deleted.")
        return self._by_id[chat_id]

    def holding(self, message_id: str) -> Conversation:
        """Return the chat a message is in or raise `not_found`."""
        for chat in self._by_id.values():
            if message_id in chat.messages:
                return chat
        raise AppError("not_found", "That message does not exist.", "Reload the chat.")

    def update(self, message_id: str, **changes: object) -> Message:
        """Replace fields of a stored message."""
        chat = self.holding(message_id)
        message = msgspec.structs.replace(chat.messages[message_id], **changes)
        chat.messages[message_id] = message
        return message

    def delete(self, chat_id: str) -> None:
        """Forget a chat for good."""
        del self._by_id[chat_id]

    def summaries(self, *, trashed: bool) -> tuple[ChatSummary, ...]:
        """Return the chat list, last changed first."""
        rows = [c.summary() for c in self if (c.trashed_at is not None) == trashed]
        return tuple(sorted(rows, key=lambda row: row.updated_at, reverse=True))

    def search(self, query: str, limit: int) -> tuple[SearchHit, ...]:
        """Return messages that hold every word of `query`."""
        words = query.casefold().split()
        hits = [
            SearchHit(
                chat_id=chat.id,
                message_id=message.id,
                title=chat.title,
                snippet=message.content[:120],
                created_at=message.created_at,
            )
            for chat in self
            if chat.trashed_at is None
            for message in chat.messages.values()
            if words and all(word in message.content.casefold() for word in words)
        ]
        return tuple(hits[:limit])
