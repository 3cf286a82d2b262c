"""Chats as they are stored: making, reading, changing, searching and deleting them."""

# ruff: noqa: S608  (only our own column lists are put into SQL text)

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from freehold.chats import export, tree
from freehold.chats.rows import (
    SUMMARY_COLUMNS,
    error_info,
    no_chat,
    summary_from,
)
from freehold.chats.sampling import check_sampling
from freehold.chats.search import find
from freehold.chats.text import MAX_TITLE_CHARACTERS, check_text
from freehold.errors import AppError
from freehold.storage.connection import Database
from freehold.wire import AnyEvent, Changed, Chat, ChatSummary, Message, SearchHit

TRASH_DAYS: Final = 30
TOKEN_DAYS: Final = 30
DAY_S: Final = 86_400


class Conversations:
    """Every chat on this machine; each change is told to the windows that listen."""

    def __init__(
        self,
        database: Database,
        publish: Callable[[AnyEvent], None],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._publish = publish
        self._clock = clock

    # --- reading -----------------------------------------------------------------------------

    async def list(self, *, trashed: bool = False) -> tuple[ChatSummary, ...]:
        """Return all chats, last changed first."""
        state = "IS NOT NULL" if trashed else "IS NULL"
        rows = await self._database.read(
            lambda c: c.execute(
                f"SELECT {SUMMARY_COLUMNS} FROM chat WHERE trashed_at {state}"
                " ORDER BY updated_at DESC, id"
            ).fetchall()
        )
        return tuple(summary_from(row) for row in rows)

    async def chat(
        self, chat_id: str, *, limit: int | None = None, before: str | None = None
    ) -> Chat:
        """Return a chat with the last `limit` messages of its active branch before `before`."""
        if limit is not None and limit < 0:
            raise AppError("invalid_request", "limit is below zero.", "Give 0 or more.")
        return await self._database.read(lambda c: read_chat(c, chat_id, limit, before))

    async def message(self, message_id: str) -> Message:
        """Return one message as stored now."""
        return await self._database.read(lambda c: tree.find_message(c, message_id))

    async def search(self, query: str, *, limit: int = 50) -> tuple[SearchHit, ...]:
        """Return messages matching `query`, best first."""
        check_text(query, name="query", limit=10_000)
        count = max(1, min(limit, 500))
        return await self._database.read(lambda c: find(c, query, count))

    async def export(self, chat_id: str, form: str) -> str:
        """Return a chat as text: "markdown" (the active branch) or "json" (every branch)."""
        if form not in ("markdown", "json"):
            raise AppError(
                "invalid_request",
                "A chat can be exported as markdown or json.",
                "Ask for one of the two.",
                detail={"param": "format"},
            )
        write = export.as_markdown if form == "markdown" else export.as_json
        return await self._database.read(lambda c: write(c, read_chat(c, chat_id, None, None)))

    # --- changing ----------------------------------------------------------------------------

    async def create(
        self, *, model_ref: str = "", title: str = "", system_prompt: str = ""
    ) -> Chat:
        """Make an empty chat."""
        chat_id, now = tree.new_id(), self._clock()
        name = check_text(title.strip(), name="title", limit=MAX_TITLE_CHARACTERS)
        check_text(model_ref, name="model_ref", limit=4096)
        check_text(system_prompt, name="system_prompt")

        def insert(connection: Any) -> Chat:
            connection.execute(
                "INSERT INTO chat (id, title, title_edited, created_at, updated_at, model_ref,"
                " system_prompt) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (chat_id, name, bool(name), now, now, model_ref, system_prompt),
            )
            return read_chat(connection, chat_id, None, None)

        chat = await self._database.write(insert)
        self._tell(chat_id)
        return chat

    async def update(
        self,
        chat_id: str,
        *,
        title: str | None = None,
        model_ref: str | None = None,
        system_prompt: str | None = None,
        pinned: bool | None = None,
        sampling: dict[str, object] | None = None,
    ) -> ChatSummary:
        """Change what is given."""
        changes: dict[str, object] = {}
        if title is not None:
            name = check_text(title.strip(), name="title", limit=MAX_TITLE_CHARACTERS)
            changes |= {"title": name, "title_edited": bool(name)}
        if model_ref is not None:
            changes["model_ref"] = check_text(model_ref, name="model_ref", limit=4096)
        if system_prompt is not None:
            changes["system_prompt"] = check_text(system_prompt, name="system_prompt")
        if pinned is not None:
            changes["pinned"] = pinned
        if sampling is not None:
            check_sampling(sampling)
            changes["sampling"] = msgspec.json.encode(sampling).decode()

        def change(connection: Any) -> ChatSummary:
            if changes:
                names = ", ".join(f"{name} = ?" for name in changes)
                connection.execute(
                    f"UPDATE chat SET {names} WHERE id = ?",
                    (*changes.values(), chat_id),
                )
            return read_summary(connection, chat_id)

        summary = await self._database.write(change)
        self._tell(chat_id)
        return summary

    async def save_draft(self, chat_id: str, text: str) -> None:
        """Keep what is typed but not sent."""
        check_text(text, name="draft")

        def change(connection: Any) -> None:
            connection.execute("UPDATE chat SET draft = ? WHERE id = ?", (text, chat_id))
            if not connection.changes():
                raise no_chat(chat_id)

        await self._database.write(change)

    async def select(self, message_id: str) -> Chat:
        """Make the branch through `message_id` the active one."""
        chat = await self._database.write(
            lambda c: read_chat(c, tree.choose(c, message_id), None, None)
        )
        self._publish(Changed(topic="chat", id=chat.id))
        return chat

    async def trash(self, chat_id: str) -> None:
        """Move a chat to the trash, where it stays 30 days."""
        await self._set_trashed(chat_id, self._clock())

    async def restore(self, chat_id: str) -> None:
        """Take a chat out of the trash."""
        await self._set_trashed(chat_id, None)

    async def delete(self, chat_id: str) -> None:
        """Delete a trashed chat for good.

        Raises: AppError `conflict` when it is not in the trash.
        """

        def remove(connection: Any) -> None:
            if read_summary(connection, chat_id).trashed_at is None:
                raise AppError(
                    "conflict",
                    "This chat is not in the trash.",
                    "Move it to the trash first.",
                    detail={"chat_id": chat_id},
                )
            delete_chats(connection, [chat_id])

        await self._database.write(remove)
        self._tell(chat_id)

    async def recover(self) -> int:
        """Mark replies that a dead server left unfinished, with what came; return how many.

        Call once at start, before the first reply.
        """
        error = error_info(
            AppError(
                "interrupted",
                "Freehold ended while this answer was being written.",
                "What came is kept; regenerate it for a full answer.",
                retryable=True,
            )
        )

        def mark(connection: Any) -> list[str]:
            rows = connection.execute(
                "SELECT id FROM message WHERE status IN ('waiting', 'streaming')"
            ).fetchall()
            for (message_id,) in rows:
                left = tree.find_message(connection, message_id)
                ended = msgspec.structs.replace(left, status="interrupted", error=error)
                tree.fold(connection, ended)
            return [row[0] for row in rows]

        return len(await self._database.write(mark))

    async def purge(self) -> int:
        """Delete what has been in the trash for 30 days, and old tokens; return the chats gone."""
        now = self._clock()

        def remove(connection: Any) -> list[str]:
            old = [
                id_
                for (id_,) in connection.execute(
                    "SELECT id FROM chat WHERE trashed_at < ?", (now - TRASH_DAYS * DAY_S,)
                )
            ]
            delete_chats(connection, old)
            connection.execute(
                "DELETE FROM sent_token WHERE created_at < ?", (now - TOKEN_DAYS * DAY_S,)
            )
            return old

        gone = await self._database.write(remove)
        if gone:
            self._publish(Changed(topic="chats"))
        return len(gone)

    async def _set_trashed(self, chat_id: str, at: float | None) -> None:
        def change(connection: Any) -> None:
            connection.execute("UPDATE chat SET trashed_at = ? WHERE id = ?", (at, chat_id))
            if not connection.changes():
                raise no_chat(chat_id)

        await self._database.write(change)
        self._tell(chat_id)

    def _tell(self, chat_id: str) -> None:
        self._publish(Changed(topic="chat", id=chat_id))
        self._publish(Changed(topic="chats"))


def read_chat(connection: Any, chat_id: str, limit: int | None, before: str | None) -> Chat:
    """Return a chat and the asked part of its active branch."""
    row = connection.execute(
        "SELECT title, created_at, updated_at, model_ref, system_prompt, draft, sampling,"
        " context_used_tokens, trashed_at FROM chat WHERE id = ?",
        (chat_id,),
    ).fetchone()
    if row is None:
        raise no_chat(chat_id)
    title, created_at, updated_at, model_ref, system_prompt, draft, sampling, used, trashed = row
    if before is not None and tree.find_message(connection, before).chat_id != chat_id:
        raise AppError("not_found", "That message is not in this chat.", "Read the chat again.")
    messages = tree.branch(connection, chat_id, limit=limit, before=before)
    return Chat(
        id=chat_id,
        title=title,
        created_at=created_at,
        updated_at=updated_at,
        model_ref=model_ref,
        system_prompt=system_prompt,
        draft=draft,
        messages=messages,
        total=tree.branch_length(connection, chat_id),
        siblings=tree.siblings(connection, chat_id, messages),
        sampling=msgspec.json.decode(sampling),
        context_used_tokens=used,
        trashed_at=trashed,
    )


def read_summary(connection: Any, chat_id: str) -> ChatSummary:
    """Return a chat's row of the list. Raises: AppError `not_found`."""
    row = connection.execute(
        f"SELECT {SUMMARY_COLUMNS} FROM chat WHERE id = ?",
        (chat_id,),
    ).fetchone()
    if row is None:
        raise no_chat(chat_id)
    return summary_from(row)


def delete_chats(connection: Any, chat_ids: list[str]) -> None:
    """Delete chats with their messages and what the search index holds of them."""
    for chat_id in chat_ids:
        connection.execute(
            "DELETE FROM message_text WHERE rowid IN (SELECT seq FROM message WHERE chat_id = ?)",
            (chat_id,),
        )
        connection.execute("DELETE FROM chat WHERE id = ?", (chat_id,))
