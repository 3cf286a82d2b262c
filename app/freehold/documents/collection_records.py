"""Collections as rows: their sources, their files, and how far their index is.

Functions of a connection, to be run by `Database.write` and `Database.read`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal

import msgspec

from freehold.errors import AppError
from freehold.wire import ErrorInfo
from freehold.wire_documents import Collection, CollectionFile

_SELECT: Final = (
    "SELECT id, name, sources, is_paused, notes, error, added_at,"
    " (SELECT count(*) FROM collection_file WHERE collection_id = collection.id),"
    " (SELECT count(*) FROM collection_file WHERE collection_id = collection.id"
    "   AND state = 'failed'),"
    " (SELECT count(*) FROM collection_file WHERE collection_id = collection.id"
    "   AND state = 'waiting'),"
    " (SELECT total(page_count) FROM document WHERE collection_id = collection.id),"
    " (SELECT total(estimated_tokens) FROM document WHERE collection_id = collection.id),"
    " (SELECT count(*) FROM passage JOIN document ON document.id = document_id"
    "   WHERE collection_id = collection.id),"
    " (SELECT count(*) FROM passage_vector JOIN passage ON passage.id = passage_id"
    "   JOIN document ON document.id = document_id WHERE collection_id = collection.id),"
    " (SELECT group_concat(DISTINCT embedder) FROM document WHERE collection_id = collection.id)"
    " FROM collection"
)


class FoundFile(msgspec.Struct, frozen=True, order=True):
    """A file of a source as the disk shows it."""

    path: str
    size_bytes: int
    modified_ns: int


class KnownFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file as it was when it was looked at last."""

    path: str
    state: Literal["waiting", "ready", "failed"]
    size_bytes: int
    modified_ns: int
    sha256: str
    document_id: str | None


def create(connection: Any, collection_id: str, name: str, sources: Sequence[str]) -> None:
    """Make a collection."""
    connection.execute(
        "INSERT INTO collection (id, name, sources, added_at) VALUES (?, ?, ?, ?)",
        (collection_id, name, _json(list(sources)), time.time()),
    )


def change(
    connection: Any,
    collection_id: str,
    *,
    name: str | None = None,
    sources: Sequence[str] | None = None,
    paused: bool | None = None,
) -> None:
    """Change what is given.

    Raises: AppError `not_found`.
    """
    if find(connection, collection_id) is None:
        raise gone()
    for column, value in (
        ("name", name),
        ("sources", None if sources is None else _json(list(sources))),
        ("is_paused", None if paused is None else int(paused)),
    ):
        if value is not None:
            connection.execute(
                f"UPDATE collection SET {column} = ? WHERE id = ?",  # noqa: S608
                (value, collection_id),
            )


def say(connection: Any, collection_id: str, notes: Sequence[str], error: ErrorInfo | None) -> None:
    """Keep what a person should know of a collection, and what stops it."""
    connection.execute(
        "UPDATE collection SET notes = ?, error = ? WHERE id = ?",
        (_json(list(notes)), None if error is None else _json(error), collection_id),
    )


def find(connection: Any, collection_id: str) -> Collection | None:
    """Return a collection as it stands on disk, None when it is not there."""
    row = connection.execute(f"{_SELECT} WHERE id = ?", (collection_id,)).fetchone()
    return None if row is None else _collection(row)


def every(connection: Any) -> list[Collection]:
    """Return every collection by name."""
    rows = connection.execute(f"{_SELECT} ORDER BY name COLLATE NOCASE, id").fetchall()
    return [_collection(row) for row in rows]


def _collection(row: tuple[Any, ...]) -> Collection:
    error = msgspec.json.decode(row[5], type=ErrorInfo) if row[5] else None
    paused, waiting, passages, embedded = bool(row[3]), row[9], row[12], row[13]
    phase: Any = "ready"
    if paused:
        phase = "paused"
    elif error is not None:
        phase = "error"
    elif waiting or embedded < passages:
        phase = "waiting"
    embedders = (row[14] or "").split(",") if row[14] else []
    return Collection(
        id=row[0],
        name=row[1],
        sources=msgspec.json.decode(row[2], type=tuple[str, ...]),
        phase=phase,
        done=row[7] - waiting,
        total=row[7],
        files=row[7],
        failed=row[8],
        pages=int(row[10]),
        tokens=int(row[11]),
        passages=passages,
        embedded=embedded,
        embedder=embedders[0].split("|")[0] if len(embedders) == 1 else "",
        notes=msgspec.json.decode(row[4], type=tuple[str, ...]),
        error=error,
        added_at=row[6],
    )


# --- files -----------------------------------------------------------------------------------


def known_files(connection: Any, collection_id: str) -> dict[str, KnownFile]:
    """Return a collection's files by path."""
    rows = connection.execute(
        "SELECT path, state, size_bytes, modified_ns, sha256, document_id FROM collection_file"
        " WHERE collection_id = ?",
        (collection_id,),
    )
    return {
        row[0]: KnownFile(
            path=row[0],
            state=row[1],
            size_bytes=row[2],
            modified_ns=row[3],
            sha256=row[4],
            document_id=row[5],
        )
        for row in rows
    }


def files(
    connection: Any, collection_id: str, limit: int, offset: int
) -> tuple[CollectionFile, ...]:
    """Return files for the window: those that failed first, then by path."""
    rows = connection.execute(
        "SELECT path, state, size_bytes, document_id, error FROM collection_file"
        " WHERE collection_id = ? ORDER BY state != 'failed', path LIMIT ? OFFSET ?",
        (collection_id, limit, offset),
    )
    return tuple(
        CollectionFile(
            path=row[0],
            name=row[0].rpartition("/")[2],
            phase=row[1],
            bytes=row[2],
            document_id=row[3] or "",
            error=msgspec.json.decode(row[4], type=ErrorInfo) if row[4] else None,
        )
        for row in rows
    )


def expect(connection: Any, collection_id: str, found: Iterable[FoundFile]) -> None:
    """Note files that are new or changed: they wait to be read."""
    connection.executemany(
        "INSERT INTO collection_file (collection_id, path, state, size_bytes, modified_ns)"
        " VALUES (?1, ?2, 'waiting', ?3, ?4) ON CONFLICT (collection_id, path)"
        " DO UPDATE SET state = 'waiting', size_bytes = ?3, modified_ns = ?4, error = NULL",
        [(collection_id, file.path, file.size_bytes, file.modified_ns) for file in found],
    )


def expect_all(connection: Any, collection_id: str) -> None:
    """Let every file wait to be read again, whether it changed or not."""
    connection.execute(
        "UPDATE collection_file SET state = 'waiting', sha256 = '' WHERE collection_id = ?",
        (collection_id,),
    )


def settle(
    connection: Any,
    collection_id: str,
    path: str,
    *,
    sha256: str,
    document_id: str | None,
    error: ErrorInfo | None = None,
) -> None:
    """Note how reading a file ended."""
    connection.execute(
        "UPDATE collection_file SET state = ?, sha256 = ?, document_id = ?, error = ?"
        " WHERE collection_id = ? AND path = ?",
        (
            "ready" if error is None else "failed",
            sha256,
            document_id,
            None if error is None else _json(error),
            collection_id,
            path,
        ),
    )


def drop_file(connection: Any, collection_id: str, path: str) -> None:
    """Forget a file that is gone; its document is removed by the caller."""
    connection.execute(
        "DELETE FROM collection_file WHERE collection_id = ? AND path = ?", (collection_id, path)
    )


def delete(connection: Any, collection_id: str) -> None:
    """Delete a collection's row and those of its files and documents."""
    connection.execute("DELETE FROM collection WHERE id = ?", (collection_id,))


def gone() -> AppError:
    """Return the error for a collection that is not there."""
    return AppError("not_found", "That collection is not here.", "It may have been deleted.")


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
