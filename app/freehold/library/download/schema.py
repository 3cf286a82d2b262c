"""The table of downloads: what was asked for and how it ended. How far each is, its files tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec

from freehold.library.variants import RepoFile
from freehold.storage.migrations import Schema
from freehold.wire import ErrorInfo

Rest = Literal["queued", "paused", "failed", "done"]


class StoredDownload(msgspec.Struct, frozen=True, kw_only=True):
    """A download as it rests; `cleared`: done, and taken off the list by the person."""

    id: str
    place: int
    repository: str
    variant: str
    revision: str
    files: tuple[RepoFile, ...]
    state: Rest
    added_at: float
    error: ErrorInfo | None = None
    ref: str = ""
    cleared: bool = False

    @property
    def total_bytes(self) -> int:
        return sum(file.bytes for file in self.files)


def m001_downloads(connection: Any) -> None:
    """Make the table."""
    connection.execute(
        """
        CREATE TABLE download (
            id TEXT PRIMARY KEY,
            place INTEGER NOT NULL,
            value TEXT NOT NULL
        ) STRICT, WITHOUT ROWID;
        """
    )


SCHEMA: Final = Schema("downloads", (m001_downloads,))


def all_downloads(connection: Any) -> list[StoredDownload]:
    """Return every download in the order of the queue."""
    rows = connection.execute("SELECT value FROM download ORDER BY place, id")
    return [msgspec.json.decode(value, type=StoredDownload) for (value,) in rows]


def save_download(connection: Any, item: StoredDownload) -> None:
    """Keep a download in place of what was there under its id."""
    connection.execute(
        "INSERT OR REPLACE INTO download VALUES (?, ?, ?)",
        (item.id, item.place, msgspec.json.encode(item).decode()),
    )


def save_downloads(connection: Any, items: Sequence[StoredDownload]) -> None:
    """Keep several downloads."""
    for item in items:
        save_download(connection, item)


def delete_download(connection: Any, identifier: str) -> None:
    """Forget a download."""
    connection.execute("DELETE FROM download WHERE id = ?", (identifier,))
