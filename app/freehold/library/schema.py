"""The tables of the library, and what is asked of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from freehold.storage.migrations import Schema
from freehold.wire import ModelEntry


@dataclass(frozen=True, slots=True)
class FileStamp:
    """A file as it was when it was last read: a changed one is read again."""

    path: str
    size_bytes: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model as remembered.

    real_path: the first file with links resolved; it tells whether two paths are one model.
    owned: whether Freehold downloaded the files itself and may delete them.
    reader: the version of the reader that wrote `entry`.
    """

    entry: ModelEntry
    real_path: str
    files: tuple[FileStamp, ...]
    owned: bool
    reader: int


def m001_models(connection: Any) -> None:
    """Make the table of models and that of the person's own folders."""
    connection.execute(
        """
        CREATE TABLE model (
            ref TEXT PRIMARY KEY,
            real_path TEXT NOT NULL UNIQUE,
            owned INTEGER NOT NULL,
            reader INTEGER NOT NULL,
            files TEXT NOT NULL,
            entry TEXT NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE model_folder (
            path TEXT PRIMARY KEY,
            added_at REAL NOT NULL
        ) STRICT, WITHOUT ROWID;
        """
    )


SCHEMA: Final = Schema("library", (m001_models,))

_SELECT: Final = "SELECT real_path, owned, reader, files, entry FROM model"


def all_models(connection: Any) -> list[StoredModel]:
    """Return every remembered model, by name."""
    rows = connection.execute(_SELECT + " ORDER BY ref COLLATE NOCASE")
    return [_from_row(row) for row in rows]


def model_by_ref(connection: Any, ref: str) -> StoredModel | None:
    """Return the model of exactly this name, or of the only one that differs in case."""
    for condition in (" WHERE ref = ?", " WHERE ref = ? COLLATE NOCASE LIMIT 2"):
        rows = connection.execute(_SELECT + condition, (ref,)).fetchall()
        if len(rows) == 1:
            return _from_row(rows[0])
    return None


def model_by_real_path(connection: Any, real_path: str) -> StoredModel | None:
    """Return the model whose first file this is."""
    rows = connection.execute(_SELECT + " WHERE real_path = ?", (real_path,)).fetchall()
    return _from_row(rows[0]) if rows else None


def save_model(connection: Any, model: StoredModel) -> None:
    """Remember a model under its name, in place of what was there."""
    connection.execute("DELETE FROM model WHERE real_path = ?", (model.real_path,))
    connection.execute(
        "INSERT OR REPLACE INTO model (ref, real_path, owned, reader, files, entry)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (
            model.entry.ref,
            model.real_path,
            int(model.owned),
            model.reader,
            msgspec.json.encode(model.files).decode(),
            msgspec.json.encode(model.entry).decode(),
        ),
    )


def forget_model(connection: Any, ref: str) -> None:
    """Forget the model of this name."""
    connection.execute("DELETE FROM model WHERE ref = ?", (ref,))


def all_folders(connection: Any) -> list[str]:
    """Return the folders the person added."""
    return [str(row[0]) for row in connection.execute("SELECT path FROM model_folder ORDER BY 1")]


def save_folder(connection: Any, path: str, now: float) -> None:
    """Remember a folder to look for models in."""
    connection.execute("INSERT OR IGNORE INTO model_folder VALUES (?, ?)", (path, now))


def forget_folder(connection: Any, path: str) -> None:
    """Forget a folder."""
    connection.execute("DELETE FROM model_folder WHERE path = ?", (path,))


def _from_row(row: tuple[Any, ...]) -> StoredModel:
    real_path, owned, reader, files, entry = row
    return StoredModel(
        entry=msgspec.json.decode(entry, type=ModelEntry),
        real_path=real_path,
        files=msgspec.json.decode(files, type=tuple[FileStamp, ...]),
        owned=bool(owned),
        reader=reader,
    )
