"""The tables of documents: the text by passages, its words, its vectors."""

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


SCHEMA: Final = Schema("documents", (m001_documents,))
