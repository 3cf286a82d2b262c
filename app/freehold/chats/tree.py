"""A chat as a tree of messages: reading branches, adding to them, choosing between them.

Functions take a connection and run inside the caller's transaction.
"""

# ruff: noqa: S608  (only our own column lists are put into SQL text)

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from freehold.chats.rows import MESSAGE_COLUMNS, encode, message_from, no_chat, no_message
from freehold.chats.text import index_text
from freehold.wire import Message


def new_id() -> str:
    """Return a fresh id for a chat or message."""
    return uuid4().hex


def find_message(connection: Any, message_id: str) -> Message:
    """Return one message. Raises: AppError `not_found`."""
    row = connection.execute(
        f"SELECT {MESSAGE_COLUMNS} FROM message WHERE id = ?",
        (message_id,),
    ).fetchone()
    if row is None:
        raise no_message(message_id)
    return message_from(connection, row)


def branch(
    connection: Any, chat_id: str, *, limit: int | None = None, before: str | None = None
) -> tuple[Message, ...]:
    """Return the end of the active branch (or of the part before a message), root first.

    Reads only what it returns, however long the chat is.
    """
    if before is not None:
        start = find_message(connection, before).parent_id
    else:
        row = connection.execute("SELECT leaf_id FROM chat WHERE id = ?", (chat_id,)).fetchone()
        if row is None:
            raise no_chat(chat_id)
        start = row[0]
    return upwards(connection, start, limit)


def upwards(
    connection: Any, message_id: str | None, limit: int | None = None
) -> tuple[Message, ...]:
    """Return the path from the root to a message, or its last `limit` messages."""
    if message_id is None or limit == 0:
        return ()
    rows = connection.execute(
        f"""
        WITH RECURSIVE path (steps, message_id) AS (
            SELECT 1, ?1
            UNION ALL
            SELECT steps + 1, parent_id FROM path JOIN message ON message.id = path.message_id
            WHERE parent_id IS NOT NULL AND steps < ?2
        )
        SELECT {MESSAGE_COLUMNS} FROM path CROSS JOIN message ON message.id = path.message_id
        ORDER BY path.steps DESC
        """,
        (message_id, limit if limit is not None else 1 << 40),
    ).fetchall()
    return tuple(message_from(connection, row) for row in rows)


def branch_length(connection: Any, chat_id: str) -> int:
    """Return how many messages the active branch has."""
    row = connection.execute(
        "SELECT depth + 1 FROM message WHERE id = (SELECT leaf_id FROM chat WHERE id = ?)",
        (chat_id,),
    ).fetchone()
    return int(row[0]) if row else 0


def siblings(
    connection: Any, chat_id: str, messages: Sequence[Message]
) -> dict[str, tuple[str, ...]]:
    """Return, for each message that has alternatives, all their ids in order of creation."""
    if not messages:
        return {}
    parents = [message.parent_id for message in messages if message.parent_id is not None]
    groups: dict[str | None, list[str]] = {}
    # Two parts, since only `=` is looked up in the index.
    for parent_id, id_ in connection.execute(
        "SELECT parent_id, id FROM (SELECT message.seq, message.parent_id, message.id"
        " FROM json_each(?2) CROSS JOIN message"
        " ON message.chat_id = ?1 AND message.parent_id = json_each.value"
        " UNION ALL SELECT seq, parent_id, id FROM message"
        " WHERE chat_id = ?1 AND parent_id IS NULL) ORDER BY seq",
        (chat_id, json.dumps(parents)),
    ):
        groups.setdefault(parent_id, []).append(id_)
    found = {message.id: tuple(groups.get(message.parent_id, ())) for message in messages}
    return {id_: ids for id_, ids in found.items() if len(ids) > 1}


def add(connection: Any, message: Message) -> Message:
    """Store a message below its parent and make its branch the active one."""
    depth = 0
    if message.parent_id is not None:
        row = connection.execute(
            "SELECT depth FROM message WHERE id = ? AND chat_id = ?",
            (message.parent_id, message.chat_id),
        ).fetchone()
        if row is None:
            raise no_message(message.parent_id)
        depth = row[0] + 1
    connection.execute(
        "INSERT INTO message (id, chat_id, parent_id, depth, role, content, reasoning, status,"
        " model_ref, created_at, attached) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            message.id,
            message.chat_id,
            message.parent_id,
            depth,
            message.role,
            message.content,
            message.reasoning,
            message.status,
            message.model_ref,
            message.created_at,
            encode(message.attached) if message.attached else None,
        ),
    )
    if message.content:
        index(connection, connection.last_insert_rowid(), message.content)
    (leaf_id,) = connection.execute(
        "SELECT leaf_id FROM chat WHERE id = ?", (message.chat_id,)
    ).fetchone()
    if leaf_id == message.parent_id and leaf_id is not None:
        # The usual case, in constant time: the active branch grows at its end.
        connection.execute(
            "UPDATE message SET active_child_id = ? WHERE id = ?", (message.id, leaf_id)
        )
        connection.execute(
            "UPDATE chat SET leaf_id = ? WHERE id = ?", (message.id, message.chat_id)
        )
    else:
        choose(connection, message.id)
    return message


def attached_above(connection: Any, message_id: str | None) -> frozenset[str]:
    """Return the ids of the documents that came with a message or one above it."""
    rows = connection.execute(
        "WITH RECURSIVE path (message_id) AS (SELECT ?1 UNION ALL SELECT parent_id FROM path"
        " JOIN message ON message.id = path.message_id WHERE parent_id IS NOT NULL)"
        " SELECT DISTINCT json_extract(item.value, '$.id') FROM path CROSS JOIN message"
        " ON message.id = path.message_id CROSS JOIN json_each(message.attached) AS item"
        " WHERE message.attached IS NOT NULL",
        (message_id,),
    )
    return frozenset(row[0] for row in rows)


def choose(connection: Any, message_id: str) -> str:
    """Make the branch through a message the active one; return its chat's id.

    Below the message, the branch that was last shown there is followed again.
    """
    row = connection.execute("SELECT chat_id FROM message WHERE id = ?", (message_id,)).fetchone()
    if row is None:
        raise no_message(message_id)
    chat_id = str(row[0])
    path = [
        id_
        for (id_,) in connection.execute(
            "WITH RECURSIVE path (steps, message_id) AS (SELECT 1, ?1 UNION ALL"
            " SELECT steps + 1, parent_id FROM path JOIN message ON message.id = path.message_id"
            " WHERE parent_id IS NOT NULL)"
            " SELECT message_id FROM path ORDER BY steps DESC",
            (message_id,),
        )
    ]
    connection.executemany(
        "UPDATE message SET active_child_id = ?1 WHERE id = ?2 AND active_child_id IS NOT ?1",
        list(zip(path[1:], path[:-1], strict=True)),
    )
    (leaf_id,) = connection.execute(
        "WITH RECURSIVE down (message_id, child_id) AS ("
        " SELECT id, active_child_id FROM message WHERE id = ?1 UNION ALL"
        " SELECT id, active_child_id FROM down JOIN message ON message.id = down.child_id)"
        " SELECT message_id FROM down WHERE child_id IS NULL",
        (message_id,),
    ).fetchone()
    connection.execute("UPDATE chat SET leaf_id = ? WHERE id = ?", (leaf_id, chat_id))
    return chat_id


def index(connection: Any, message_seq: int, content: str) -> None:
    """Put a message's text into the search index, in place of what was there."""
    connection.execute("DELETE FROM message_text WHERE rowid = ?", (message_seq,))
    connection.execute(
        "INSERT INTO message_text (rowid, text) VALUES (?, ?)", (message_seq, index_text(content))
    )


def append_text(connection: Any, message_id: str, part: str, text: str) -> None:
    """Store text of a reply under way, in time that does not depend on what came before."""
    row = connection.execute("SELECT seq FROM message WHERE id = ?", (message_id,)).fetchone()
    if row is None:
        raise no_message(message_id)
    connection.execute(
        "INSERT INTO message_chunk (message_seq, part, text) VALUES (?, ?, ?)",
        (row[0], part, text),
    )


def fold(connection: Any, message: Message) -> None:
    """Store the final state of a reply in its row, and drop the pieces it was streamed in."""
    row = connection.execute("SELECT seq FROM message WHERE id = ?", (message.id,)).fetchone()
    if row is None:
        raise no_message(message.id)
    connection.execute(
        "UPDATE message SET content = ?, reasoning = ?, tool_calls = ?, status = ?, stats = ?,"
        " error = ?, model_ref = ?, grounds = ? WHERE seq = ?",
        (
            message.content,
            message.reasoning,
            encode(message.tool_calls) if message.tool_calls else None,
            message.status,
            encode(message.stats) if message.stats else None,
            encode(message.error) if message.error else None,
            message.model_ref,
            encode(message.grounds) if message.grounds else None,
            row[0],
        ),
    )
    connection.execute("DELETE FROM message_chunk WHERE message_seq = ?", (row[0],))
    if message.content:
        index(connection, row[0], message.content)
