"""Numbered steps that bring a database file to what this version expects.

Each feature owns its steps; what ran is recorded in the table `migration`, so features grow
independently of each other in one file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from freehold import __version__
from freehold.errors import AppError

FORMAT: Final = 1
APPLICATION_ID: Final = 0x46524845  # "FRHE"

Step = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables of one feature: its name and its steps, the first one making them."""

    feature: str
    steps: tuple[Step, ...]


def recorded(connection: Any) -> dict[str, int]:
    """Return the last step that ran, by feature; empty for a new file."""
    if not connection.execute(
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'migration'"
    ).fetchall():
        return {}
    rows = connection.execute("SELECT feature, max(number) FROM migration GROUP BY feature")
    return {str(feature): int(number) for feature, number in rows}


def check_not_newer(connection: Any, schemas: Sequence[Schema]) -> None:
    """Refuse a file that a newer Freehold has changed, before anything is written to it.

    Raises: AppError `storage_too_new`.
    """
    newest = recorded(connection)
    (file_format,) = connection.execute("PRAGMA user_version").fetchone()
    newer = [s.feature for s in schemas if newest.get(s.feature, 0) > len(s.steps)]
    if file_format <= FORMAT and not newer:
        return
    writers = connection.execute(
        "SELECT app_version FROM migration ORDER BY applied_at DESC LIMIT 1"
    ).fetchall()
    version = writers[0][0] if writers else "a newer version"
    raise AppError(
        "storage_too_new",
        f"The chats on this machine were last used by Freehold {version}, which is newer"
        f" than this one ({__version__}).",
        "Start the newer version, or restore a file of the backups folder that was made before.",
        detail={"written_by": version, "this_version": __version__, "features": newer},
    )


def pending(connection: Any, schemas: Sequence[Schema]) -> list[tuple[str, int, Step]]:
    """Return the steps that have not run yet, in order, as (feature, number, step)."""
    newest = recorded(connection)
    return [
        (schema.feature, number, step)
        for schema in schemas
        for number, step in enumerate(schema.steps, start=1)
        if number > newest.get(schema.feature, 0)
    ]


def apply(connection: Any, schemas: Sequence[Schema]) -> int:
    """Run every pending step, each in a transaction with its record; return how many ran."""
    steps = pending(connection, schemas)
    if not steps:
        return 0
    if not recorded(connection):
        _prepare(connection)
    for feature, number, step in steps:
        connection.execute("BEGIN IMMEDIATE")
        try:
            step(connection)
            connection.execute(
                "INSERT INTO migration (feature, number, name, applied_at, app_version)"
                " VALUES (?, ?, ?, ?, ?)",
                (feature, number, step.__name__, time.time(), __version__),
            )
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    return len(steps)


def _prepare(connection: Any) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS migration (feature TEXT NOT NULL, number INTEGER NOT NULL,"
        " name TEXT NOT NULL, applied_at REAL NOT NULL, app_version TEXT NOT NULL,"
        " PRIMARY KEY (feature, number)) WITHOUT ROWID, STRICT"
    )
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {FORMAT}")
    connection.execute("COMMIT")
