"""The tables of documents: the text by passages, its words, its vectors; collections; chats.

`vector_generation` grows whenever a vector comes or goes, so that what is kept in memory is known
to be old.
"""

from __future__ import annotations

from typing import Any, Final

from freehold.storage.migrations import Schema


def m001_documents(connection: Any) -> None:
    """Make the tables of documents, passages, words and vectors."""
    connection.execute(
        """
        CREATE TABLE document (
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL,
            kind TEXT NOT NULL,
            page_word TEXT NOT NULL,
            page_count INTEGER NOT NULL,
            characters INTEGER NOT NULL,
            estimated_tokens INTEGER NOT NULL,
            notes TEXT NOT NULL DEFAULT '[]',
            pages TEXT NOT NULL DEFAULT '[]',
            embedder TEXT,
            added_at REAL NOT NULL
        ) STRICT;
        CREATE TABLE passage (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            document_id TEXT NOT NULL REFERENCES document (id) ON DELETE CASCADE,
            ordinal INTEGER NOT NULL,
            start_at INTEGER NOT NULL,
            first_page INTEGER NOT NULL,
            last_page INTEGER NOT NULL,
            heading TEXT NOT NULL,
            text TEXT NOT NULL,
            UNIQUE (document_id, ordinal)
        ) STRICT;
        CREATE TABLE passage_vector (
            passage_id INTEGER PRIMARY KEY REFERENCES passage (id) ON DELETE CASCADE,
            vector BLOB NOT NULL
        ) STRICT;
        CREATE VIRTUAL TABLE passage_words USING fts5 (
            stems, content = '', contentless_delete = 1,
            tokenize = 'unicode61 remove_diacritics 2'
        );
        """
    )


_COLLECTIONS: Final = """
CREATE TABLE collection (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    sources TEXT NOT NULL DEFAULT '[]',
    is_paused INTEGER NOT NULL DEFAULT 0,
    is_to_read_all INTEGER NOT NULL DEFAULT 0,
    notes TEXT NOT NULL DEFAULT '[]',
    error TEXT,
    added_at REAL NOT NULL
) STRICT;

CREATE TABLE collection_file (
    collection_id TEXT NOT NULL REFERENCES collection (id) ON DELETE CASCADE,
    path TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting',
    size_bytes INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL,
    sha256 TEXT NOT NULL DEFAULT '',
    document_id TEXT,
    error TEXT,
    PRIMARY KEY (collection_id, path)
) WITHOUT ROWID, STRICT;

ALTER TABLE document ADD COLUMN state TEXT NOT NULL DEFAULT 'ready';
ALTER TABLE document ADD COLUMN error TEXT;
ALTER TABLE document ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE document ADD COLUMN file TEXT NOT NULL DEFAULT '';
ALTER TABLE document ADD COLUMN scan_pages INTEGER NOT NULL DEFAULT 0;
ALTER TABLE document ADD COLUMN collection_id TEXT
    REFERENCES collection (id) ON DELETE CASCADE;
CREATE INDEX document_by_collection ON document (collection_id);

CREATE TABLE chat_document (
    chat_id TEXT NOT NULL REFERENCES chat (id) ON DELETE CASCADE,
    place INTEGER NOT NULL,
    document_id TEXT NOT NULL REFERENCES document (id) ON DELETE CASCADE,
    PRIMARY KEY (chat_id, document_id)
) STRICT;
CREATE INDEX chat_document_by_document ON chat_document (document_id);

CREATE TABLE chat_collection (
    chat_id TEXT NOT NULL REFERENCES chat (id) ON DELETE CASCADE,
    place INTEGER NOT NULL,
    collection_id TEXT NOT NULL REFERENCES collection (id) ON DELETE CASCADE,
    PRIMARY KEY (chat_id, collection_id)
) STRICT;
CREATE INDEX chat_collection_by_collection ON chat_collection (collection_id);

CREATE TABLE chat_choice (
    chat_id TEXT PRIMARY KEY REFERENCES chat (id) ON DELETE CASCADE,
    choice TEXT NOT NULL
) STRICT;

CREATE TABLE document_model (
    role TEXT PRIMARY KEY,
    ref TEXT NOT NULL
) STRICT;

CREATE TABLE recognised_page (
    document_id TEXT NOT NULL REFERENCES document (id) ON DELETE CASCADE,
    page INTEGER NOT NULL,
    words TEXT NOT NULL,
    PRIMARY KEY (document_id, page)
) STRICT;

CREATE TABLE vector_generation (number INTEGER NOT NULL) STRICT;
INSERT INTO vector_generation (number) VALUES (0);
"""


def m002_collections(connection: Any) -> None:
    """Make the tables of collections and of what chats are asked about."""
    connection.execute(_COLLECTIONS)


SCHEMA: Final = Schema("documents", (m001_documents, m002_collections))
