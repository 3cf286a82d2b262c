"""The stored documents: passages, their words for BM25, their vectors, and who made those.

Functions of a connection, to be run by `Database.write` and `Database.read`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from freehold.documents import records
from freehold.documents.passages import Passage, cut, estimate_tokens
from freehold.documents.stemming import query_stems, stems
from freehold.documents.values import ParsedDocument

Vectors = NDArray[np.float32]


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
    empty(connection, document_id)
    records.complete(connection, document_id, document, estimate_tokens(document.text))
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
    empty(connection, document_id)
    connection.execute("DELETE FROM document WHERE id = ?", (document_id,))
    if not connection.changes():
        return False
    overwrite_words(connection)
    return True


def empty(connection: Any, document_id: str) -> None:
    """Delete a document's passages, words and vectors; its row stays."""
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute(
        "DELETE FROM passage_words WHERE rowid IN (SELECT id FROM passage WHERE document_id = ?)",
        (document_id,),
    )
    connection.execute("DELETE FROM passage WHERE document_id = ?", (document_id,))
    if connection.changes():
        _advance(connection)


def overwrite_words(connection: Any) -> None:
    """Write the index of words anew: deleted ones are only marked until then."""
    connection.execute("INSERT INTO passage_words (passage_words) VALUES ('optimize')")


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


def to_embed(connection: Any, document_ids: Sequence[str], embedder: str) -> list[str]:
    """Return the documents that lack vectors of an embedder."""
    rows = connection.execute(
        "SELECT document.id FROM json_each(?) JOIN document ON document.id = value"
        " WHERE (embedder IS NOT ? AND EXISTS (SELECT 1 FROM passage WHERE document_id ="
        " document.id)) OR EXISTS (SELECT 1 FROM passage LEFT JOIN passage_vector"
        " ON passage_id = passage.id WHERE document_id = document.id AND passage_id IS NULL)",
        (_list(document_ids), embedder),
    )
    return [row[0] for row in rows]


def drop_vectors(connection: Any, document_ids: Sequence[str]) -> None:
    """Delete the vectors of documents; they are made anew by the embedder in use."""
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute(
        "DELETE FROM passage_vector WHERE passage_id IN (SELECT passage.id FROM json_each(?)"
        " JOIN passage ON document_id = value)",
        (_list(document_ids),),
    )
    connection.execute(
        "UPDATE document SET embedder = NULL WHERE id IN (SELECT value FROM json_each(?))",
        (_list(document_ids),),
    )
    _advance(connection)


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
        _advance(connection)
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
    _advance(connection)


def generation(connection: Any) -> int:
    """Return a number that grows whenever a vector comes or goes."""
    (number,) = connection.execute("SELECT number FROM vector_generation").fetchone()
    return int(number)


def _advance(connection: Any) -> None:
    connection.execute("UPDATE vector_generation SET number = number + 1")


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
