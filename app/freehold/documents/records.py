"""Documents as rows: what is known of each from the moment it is given until it is removed.

Functions of a connection, to be run by `Database.write` and `Database.read`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal

import msgspec

from freehold.documents.values import Kind, PageSpan, PageWord, ParsedDocument
from freehold.wire import ErrorInfo

State = Literal["reading", "ready", "failed"]


class StoredDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a document without its text.

    file: where its file lies: Freehold's copy, or for collections the person's own; "" for none.
    embedder: identity of the model its vectors are of; None while it has none.
    scan_pages: pages on which there is hardly any text.
    """

    id: str
    name: str
    state: State
    kind: Kind
    page_word: PageWord
    page_count: int
    characters: int
    estimated_tokens: int
    notes: tuple[str, ...]
    pages: tuple[PageSpan, ...]
    embedder: str | None
    added_at: float
    error: ErrorInfo | None
    bytes: int
    file: str
    collection_id: str | None
    scan_pages: int
    passages: int
    embedded: int


_SELECT: Final = (
    "SELECT document.id, document.name, state, kind, page_word, page_count, characters,"
    " estimated_tokens, document.notes, pages, embedder, added_at, error, bytes, file,"
    " collection_id, scan_pages,"
    " (SELECT count(*) FROM passage WHERE document_id = document.id),"
    " (SELECT count(*) FROM passage JOIN passage_vector ON passage_id = passage.id"
    " WHERE document_id = document.id) FROM document"
)


def begin(
    connection: Any,
    document_id: str,
    name: str,
    *,
    file: str = "",
    size_bytes: int = 0,
    collection_id: str | None = None,
) -> None:
    """Make a document that is about to be read; one that is there is kept and read again."""
    connection.execute(
        "INSERT INTO document (id, name, state, kind, page_word, page_count, characters,"
        " estimated_tokens, added_at, file, bytes, collection_id)"
        " VALUES (?, ?, 'reading', 'text', 'page', 0, 0, 0, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET state = 'reading', error = NULL, file = excluded.file,"
        " bytes = excluded.bytes",
        (document_id, name, time.time(), file, size_bytes, collection_id),
    )


def put_file(connection: Any, document_id: str, file: str, size_bytes: int) -> None:
    """Say where a document's file lies."""
    connection.execute(
        "UPDATE document SET file = ?, bytes = ? WHERE id = ?", (file, size_bytes, document_id)
    )


def fail(connection: Any, document_id: str, error: ErrorInfo) -> None:
    """Say why a document could not be read."""
    connection.execute(
        "UPDATE document SET state = 'failed', error = ? WHERE id = ?",
        (_json(error), document_id),
    )


def begin_again(connection: Any, document_id: str) -> None:
    """Say that a document is being read once more; what it has stays until the end."""
    connection.execute("UPDATE document SET state = 'reading' WHERE id = ?", (document_id,))


def put_back(connection: Any, document_id: str, note: str = "") -> None:
    """Say that a document is as it was before it was read once more."""
    connection.execute(
        "UPDATE document SET state = 'ready', notes = iif(?2 = '', notes,"
        " json_insert(notes, '$[#]', ?2)) WHERE id = ?1",
        (document_id, note),
    )


def put_words(connection: Any, document_id: str, page: int, words: str) -> None:
    """Keep the places of a recognised page's words, as JSON."""
    connection.execute(
        "INSERT OR REPLACE INTO recognised_page (document_id, page, words) VALUES (?, ?, ?)",
        (document_id, page, words),
    )


def words_of(connection: Any, document_id: str, page: int) -> str:
    """Return the places of a recognised page's words as JSON, "" if it was not recognised."""
    row = connection.execute(
        "SELECT words FROM recognised_page WHERE document_id = ? AND page = ?",
        (document_id, page),
    ).fetchone()
    return str(row[0]) if row is not None else ""


def complete(connection: Any, document_id: str, document: ParsedDocument, tokens: int) -> None:
    """Store what reading a document found out; its row is made if it is not there."""
    begin_missing(connection, document_id, document.name)
    connection.execute(
        "UPDATE document SET name = ?, state = 'ready', error = NULL, kind = ?, page_word = ?,"
        " page_count = ?, characters = ?, estimated_tokens = ?, notes = ?, pages = ?,"
        " scan_pages = ?, embedder = NULL WHERE id = ?",
        (
            document.name,
            document.kind,
            document.page_word,
            document.page_count,
            len(document.text),
            tokens,
            _json(document.notes),
            _json(document.pages),
            document.scan_pages,
            document_id,
        ),
    )


def begin_missing(connection: Any, document_id: str, name: str) -> None:
    """Make the row of a document only if it is not there."""
    connection.execute(
        "INSERT OR IGNORE INTO document (id, name, state, kind, page_word, page_count, characters,"
        " estimated_tokens, added_at) VALUES (?, ?, 'reading', 'text', 'page', 0, 0, 0, ?)",
        (document_id, name, time.time()),
    )


def find(connection: Any, document_id: str) -> StoredDocument | None:
    """Return a document, None when it is not there."""
    row = connection.execute(
        f"{_SELECT} WHERE document.id = ?",
        (document_id,),
    ).fetchone()
    return None if row is None else _document(row)


def documents(connection: Any) -> list[StoredDocument]:
    """Return every document that belongs to no collection, the newest first."""
    return _all(
        connection.execute(
            f"{_SELECT} WHERE collection_id IS NULL ORDER BY added_at DESC, document.id"
        )
    )


def ids(connection: Any) -> frozenset[str]:
    """Return the ids of every document, those of collections included."""
    return frozenset(row[0] for row in connection.execute("SELECT id FROM document"))


def ids_of_collection(connection: Any, collection_id: str) -> tuple[str, ...]:
    """Return the ids of a collection's documents, whatever their state."""
    rows = connection.execute(
        "SELECT id FROM document WHERE collection_id = ?", (collection_id,)
    ).fetchall()
    return tuple(row[0] for row in rows)


def delete(connection: Any, document_id: str) -> None:
    """Delete a document's row."""
    connection.execute("DELETE FROM document WHERE id = ?", (document_id,))


def of_collections(connection: Any, collection_ids: Sequence[str]) -> list[StoredDocument]:
    """Return the documents of collections that are ready, by name."""
    return _all(
        connection.execute(
            f"{_SELECT} JOIN json_each(?) ON value = collection_id WHERE state = 'ready'"
            " ORDER BY name, document.id",
            (_json(list(collection_ids)),),
        )
    )


def unfinished(connection: Any) -> list[StoredDocument]:
    """Return the documents whose reading was broken off by the end of the server."""
    return _all(connection.execute(f"{_SELECT} WHERE state = 'reading' ORDER BY added_at"))


def count_scans(connection: Any, collection_id: str) -> int:
    """Return how many documents of a collection are only pictures."""
    (count,) = connection.execute(
        "SELECT count(*) FROM document WHERE collection_id = ? AND scan_pages > 0",
        (collection_id,),
    ).fetchone()
    return int(count)


def count_loose(connection: Any) -> int:
    """Return how many documents belong to no collection."""
    (count,) = connection.execute(
        "SELECT count(*) FROM document WHERE collection_id IS NULL"
    ).fetchone()
    return int(count)


def text(connection: Any, document_id: str, start: int, end: int) -> str:
    """Return characters `start` up to `end` of a document's text."""
    rows = connection.execute(
        "SELECT start_at, text FROM passage WHERE document_id = ?1 AND start_at < ?3"
        " AND start_at + length(text) > ?2 ORDER BY ordinal",
        (document_id, start, end),
    )
    return "".join(part[max(0, start - at) : max(0, end - at)] for at, part in rows)


def _all(rows: Iterable[tuple[Any, ...]]) -> list[StoredDocument]:
    return [_document(row) for row in rows]


def _document(row: tuple[Any, ...]) -> StoredDocument:
    return StoredDocument(
        id=row[0],
        name=row[1],
        state=row[2],
        kind=row[3],
        page_word=row[4],
        page_count=row[5],
        characters=row[6],
        estimated_tokens=row[7],
        notes=msgspec.json.decode(row[8], type=tuple[str, ...]),
        pages=msgspec.json.decode(row[9], type=tuple[PageSpan, ...]),
        embedder=row[10],
        added_at=row[11],
        error=msgspec.json.decode(row[12], type=ErrorInfo) if row[12] else None,
        bytes=row[13],
        file=row[14],
        collection_id=row[15],
        scan_pages=row[16],
        passages=row[17],
        embedded=row[18],
    )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
