"""Search over all chats: words of messages, and titles."""

# ruff: noqa: S608  (only our own column lists are put into SQL text)

from __future__ import annotations

from typing import Any

from freehold.chats.text import match_expression, query_terms, snippet
from freehold.wire import SearchHit


def find(connection: Any, query: str, limit: int) -> tuple[SearchHit, ...]:
    """Return what matches `query`: chats by title first, then messages, best first.

    Every term must occur; the last one may be the beginning of a word. Trashed chats are left
    out.
    """
    expression = match_expression(query)
    if not expression:
        return ()
    by_title = _titles(connection, query, limit)
    rows = connection.execute(
        "SELECT message.chat_id, message.id, chat.title, message.content, message.created_at"
        " FROM message_text JOIN message ON message.seq = message_text.rowid"
        " JOIN chat ON chat.id = message.chat_id"
        " WHERE message_text MATCH ? AND chat.trashed_at IS NULL"
        " ORDER BY message_text.rank, message.seq DESC LIMIT ?",
        (expression, limit),
    ).fetchall()
    named = {(hit.chat_id, hit.message_id) for hit in by_title}
    hits = [
        SearchHit(
            chat_id=chat_id,
            message_id=message_id,
            title=title,
            snippet=snippet(content, query),
            created_at=created_at,
        )
        for chat_id, message_id, title, content, created_at in rows
        if (chat_id, message_id) not in named
    ]
    return tuple((by_title + hits)[:limit])


def _titles(connection: Any, query: str, limit: int) -> list[SearchHit]:
    """Return chats whose title a person wrote and that holds every term."""
    terms = query_terms(query)
    condition = " AND ".join("instr(lower(title), lower(?)) > 0" for _ in terms)
    rows = connection.execute(
        "SELECT chat.id, message.id, title, message.content, message.created_at"
        " FROM chat JOIN message ON message.id = chat.leaf_id"
        f" WHERE title_edited AND trashed_at IS NULL AND {condition}"
        " ORDER BY updated_at DESC LIMIT ?",
        (*terms, limit),
    ).fetchall()
    return [
        SearchHit(
            chat_id=chat_id,
            message_id=message_id,
            title=title,
            snippet=snippet(content, query),
            created_at=created_at,
        )
        for chat_id, message_id, title, content, created_at in rows
    ]
