"""The tables of chats.

A chat is a tree of messages. `message.seq` orders siblings, `depth` is the distance from the
root, `active_child_id` remembers which branch was last shown below a message, and
`chat.leaf_id` is the end of the active branch, so the end of a long chat is read without
walking it. Text of a reply under way is appended to `message_chunk` and folded into its message
at the end.
"""

from __future__ import annotations

from typing import Any, Final

from freehold.storage.migrations import Schema

_TABLES: Final = """
CREATE TABLE chat (
    id TEXT PRIMARY KEY,
    title TEXT NOT NULL,
    title_edited INTEGER NOT NULL DEFAULT 0,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    model_ref TEXT NOT NULL DEFAULT '',
    system_prompt TEXT NOT NULL DEFAULT '',
    draft TEXT NOT NULL DEFAULT '',
    sampling TEXT NOT NULL DEFAULT '{}',
    pinned INTEGER NOT NULL DEFAULT 0,
    trashed_at REAL,
    leaf_id TEXT,
    context_used_tokens INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX chat_by_update ON chat (updated_at DESC);

CREATE TABLE message (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    chat_id TEXT NOT NULL REFERENCES chat (id) ON DELETE CASCADE,
    parent_id TEXT,
    depth INTEGER NOT NULL,
    active_child_id TEXT,
    role TEXT NOT NULL,
    status TEXT NOT NULL,
    model_ref TEXT NOT NULL DEFAULT '',
    created_at REAL NOT NULL,
    stats TEXT,
    error TEXT,
    tool_calls TEXT,
    content TEXT NOT NULL,
    reasoning TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX message_by_parent ON message (chat_id, parent_id);
CREATE INDEX message_busy ON message (chat_id) WHERE status IN ('waiting', 'streaming');

CREATE TABLE message_chunk (
    seq INTEGER PRIMARY KEY,
    message_seq INTEGER NOT NULL REFERENCES message (seq) ON DELETE CASCADE,
    part TEXT NOT NULL,
    text TEXT NOT NULL
) STRICT;
CREATE INDEX message_chunk_by_message ON message_chunk (message_seq, seq);

CREATE TABLE sent_token (
    token TEXT PRIMARY KEY,
    chat_id TEXT NOT NULL REFERENCES chat (id) ON DELETE CASCADE,
    user_message_id TEXT NOT NULL,
    reply_id TEXT NOT NULL,
    created_at REAL NOT NULL
) STRICT;
CREATE INDEX sent_token_by_chat ON sent_token (chat_id);

CREATE VIRTUAL TABLE message_text USING fts5 (
    text, content = '', contentless_delete = 1,
    tokenize = 'unicode61 remove_diacritics 2'
);
"""


def m001_chats(connection: Any) -> None:
    """Make the tables of chats, messages, streamed text, sent tokens and the search index."""
    connection.execute(_TABLES)


def m002_grounds(connection: Any) -> None:
    """Give messages a place for what they rest on."""
    connection.execute("ALTER TABLE message ADD COLUMN grounds TEXT")


def m003_attached(connection: Any) -> None:
    """Give questions a place for the documents that came with them."""
    connection.execute("ALTER TABLE message ADD COLUMN attached TEXT")


SCHEMA: Final = Schema("chats", (m001_chats, m002_grounds, m003_attached))
