"""The stored documents: passages, their words for BM25, their vectors, and who made those.

Functions of a connection, to be run by `Database.write` and `Database.read`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from freehold.documents.passages import Passage, cut, estimate_tokens
from freehold.documents.stemming import query_stems, stems
from freehold.documents.values import Kind, PageSpan, PageWord, ParsedDocument

Vectors = NDArray[np.float32]


class StoredDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a stored document without its text.

    embedder: identity of the model its vectors are of; None while it has none.
    """

    id: str
    name: str
    kind: Kind
    page_word: PageWord
    page_count: int
    characters: int
    estimated_tokens: int
    notes: tuple[str, ...]
    pages: tuple[PageSpan, ...]
    embedder: str | None
    passages: int


class StoredPassage(msgspec.Struct, frozen=True, kw_only=True):
    """A passage and whose it is."""

    id: int
    document_id: str
    file: str
    passage: Passage


class Prepared(msgspec.Struct, frozen=True):
    """A document's passages, each with the stems of its words."""

    passages: tuple[tuple[Passage, str], ...]


def prepare(document: ParsedDocument) -> Prepared:
    """Cut a document and stem its words; takes a while, so not inside a transaction."""
    return Prepared(
        tuple(
            (passage, " ".join(stems(f"{passage.heading} {passage.text}")))
            for passage in cut(document.text, document.pages)
        )
    )


def add(connection: Any, document_id: str, document: ParsedDocument, prepared: Prepared) -> None:
    """Store a document with its passages and words; the same id again replaces it."""
    remove(connection, document_id)
    connection.execute(
        "INSERT INTO document (id, name, kind, page_word, page_count, characters,"
        " estimated_tokens, notes, pages, added_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            document_id,
            document.name,
            document.kind,
            document.page_word,
            document.page_count,
            len(document.text),
            estimate_tokens(document.text),
            msgspec.json.encode(document.notes).decode(),
            msgspec.json.encode(document.pages).decode(),
            time.time(),
        ),
    )
    for passage, words in prepared.passages:
        connection.execute(
            "INSERT INTO passage (document_id, ordinal, start_at, first_page, last_page, heading,"
            " text) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                document_id,
                passage.ordinal,
                passage.start,
                passage.first_page,
                passage.last_page,
                passage.heading,
                passage.text,
            ),
        )
        connection.execute(
            "INSERT INTO passage_words (rowid, stems) VALUES (?, ?)",
            (connection.last_insert_rowid(), words),
        )


def remove(connection: Any, document_id: str) -> bool:
    """Delete a document, its text, words and vectors, overwriting them; return whether it was."""
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute(
        "DELETE FROM passage_words WHERE rowid IN (SELECT id FROM passage WHERE document_id = ?)",
        (document_id,),
    )
    connection.execute("DELETE FROM document WHERE id = ?", (document_id,))
    if not connection.changes():
        return False
    # Deleted words are only marked until the index is written anew.
    connection.execute("INSERT INTO passage_words (passage_words) VALUES ('optimize')")
    return True


def find(connection: Any, document_id: str) -> StoredDocument | None:
    """Return a document, None when it is not there."""
    row = connection.execute(f"{_DOCUMENT} WHERE document.id = ?", (document_id,)).fetchone()
    return None if row is None else _document(row)


def documents(connection: Any) -> list[StoredDocument]:
    """Return every document, the newest first."""
    rows = connection.execute(f"{_DOCUMENT} ORDER BY added_at DESC, document.id")
    return [_document(row) for row in rows]


_DOCUMENT: Final = (
    "SELECT id, name, kind, page_word, page_count, characters, estimated_tokens, notes, pages,"
    " embedder, (SELECT count(*) FROM passage WHERE document_id = document.id) FROM document"
)


def _document(row: tuple[Any, ...]) -> StoredDocument:
    return StoredDocument(
        id=row[0],
        name=row[1],
        kind=row[2],
        page_word=row[3],
        page_count=row[4],
        characters=row[5],
        estimated_tokens=row[6],
        notes=msgspec.json.decode(row[7], type=tuple[str, ...]),
        pages=msgspec.json.decode(row[8], type=tuple[PageSpan, ...]),
        embedder=row[9],
        passages=row[10],
    )


# --- passages --------------------------------------------------------------------------------

_PASSAGE: Final = (
    "SELECT passage.id, document_id, name, ordinal, start_at, first_page, last_page, heading, text"
    " FROM passage JOIN document ON document.id = document_id"
)


def passages_of(connection: Any, document_id: str) -> list[StoredPassage]:
    """Return a document's passages in order; together they are its text."""
    rows = connection.execute(f"{_PASSAGE} WHERE document_id = ? ORDER BY ordinal", (document_id,))
    return [_stored(row) for row in rows]


def passages(connection: Any, passage_ids: Sequence[int]) -> dict[int, StoredPassage]:
    """Return passages by id."""
    rows = connection.execute(
        f"{_PASSAGE} JOIN json_each(?) ON value = passage.id", (_list(passage_ids),)
    )
    return {row[0]: _stored(row) for row in rows}


def _stored(row: tuple[Any, ...]) -> StoredPassage:
    passage = Passage(
        ordinal=row[3],
        start=row[4],
        end=row[4] + len(row[8]),
        first_page=row[5],
        last_page=row[6],
        heading=row[7],
        text=row[8],
    )
    return StoredPassage(id=row[0], document_id=row[1], file=row[2], passage=passage)


def neighbours(connection: Any, passage_id: int) -> list[int]:
    """Return the ids of the passages before and after one."""
    rows = connection.execute(
        "SELECT other.id FROM passage JOIN passage AS other USING (document_id)"
        " WHERE passage.id = ? AND other.ordinal IN (passage.ordinal - 1, passage.ordinal + 1)"
        " ORDER BY other.ordinal",
        (passage_id,),
    )
    return [row[0] for row in rows]


# --- words -----------------------------------------------------------------------------------


def search_words(
    connection: Any, document_ids: Sequence[str], question: str, limit: int
) -> list[int]:
    """Return the passages that hold the question's words, best first by BM25."""
    wanted = query_stems(question)
    if not wanted:
        return []
    match = " OR ".join(f'"{word}"' for word in wanted)
    rows = connection.execute(
        "SELECT passage_words.rowid FROM passage_words JOIN passage ON passage.id ="
        " passage_words.rowid WHERE passage_words MATCH ? AND document_id IN"
        " (SELECT value FROM json_each(?)) ORDER BY bm25(passage_words), passage.id LIMIT ?",
        (match, _list(document_ids), limit),
    )
    return [row[0] for row in rows]


# --- vectors ---------------------------------------------------------------------------------


def without_vectors(connection: Any, document_id: str, embedder: str) -> list[StoredPassage]:
    """Return the passages to be embedded; vectors of another embedder are dropped first."""
    rows = connection.execute("SELECT embedder FROM document WHERE id = ?", (document_id,))
    row = rows.fetchone()
    if row is None:
        return []
    if row[0] not in (None, embedder):
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute(
            "DELETE FROM passage_vector WHERE passage_id IN"
            " (SELECT id FROM passage WHERE document_id = ?)",
            (document_id,),
        )
    connection.execute("UPDATE document SET embedder = ? WHERE id = ?", (embedder, document_id))
    missing = connection.execute(
        f"{_PASSAGE} LEFT JOIN passage_vector ON passage_id = passage.id"
        " WHERE document_id = ? AND passage_id IS NULL ORDER BY ordinal",
        (document_id,),
    )
    return [_stored(row) for row in missing]


def add_vectors(connection: Any, embedder: str, vectors: Sequence[tuple[int, bytes]]) -> None:
    """Store vectors of passages that are still there and still belong to this embedder."""
    connection.executemany(
        "INSERT OR REPLACE INTO passage_vector (passage_id, vector) SELECT passage.id, ?2"
        " FROM passage JOIN document ON document.id = document_id"
        " WHERE passage.id = ?1 AND embedder = ?3",
        [(passage_id, vector, embedder) for passage_id, vector in vectors],
    )


def load_vectors(
    connection: Any, document_ids: Sequence[str], embedder: str
) -> tuple[list[int], Vectors]:
    """Return the ids of the passages that have vectors of an embedder, and the vectors as rows."""
    rows = connection.execute(
        "SELECT passage_id, vector FROM passage_vector JOIN passage ON passage.id = passage_id"
        " JOIN document ON document.id = document_id WHERE document_id IN"
        " (SELECT value FROM json_each(?)) AND embedder = ? ORDER BY passage_id",
        (_list(document_ids), embedder),
    ).fetchall()
    ids = [row[0] for row in rows]
    if not ids:
        return [], np.zeros((0, 0), dtype=np.float32)
    joined = b"".join(row[1] for row in rows)
    return ids, np.frombuffer(joined, dtype="<f4").reshape(len(ids), -1)


def _list(values: Sequence[object]) -> str:
    return msgspec.json.encode(list(values)).decode()
