"""Tables of power: what the live panel shows across restarts, and the points of the sweep."""

from __future__ import annotations

from typing import Any, Final

from freehold.storage.migrations import Schema


def _first(connection: Any) -> None:
    connection.execute(
        """
        CREATE TABLE power_history (
            span TEXT NOT NULL,
            start_at REAL NOT NULL,
            parts TEXT NOT NULL,
            sums BLOB NOT NULL,
            tokens REAL NOT NULL,
            span_s REAL NOT NULL,
            PRIMARY KEY (span, start_at)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE power_limit_point (
            at REAL PRIMARY KEY,
            point BLOB NOT NULL
        ) STRICT;
        """
    )


SCHEMA: Final = Schema("power", (_first,))
