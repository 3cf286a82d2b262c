"""The ledger's tables: lines are added and never changed."""

from __future__ import annotations

from typing import Any, Final

from freehold.storage.migrations import Schema


def _first(connection: Any) -> None:
    connection.execute(
        """
        CREATE TABLE ledger_request (
            request_id TEXT PRIMARY KEY,
            ended_at REAL NOT NULL,
            person TEXT NOT NULL,
            key_name TEXT NOT NULL,
            model_ref TEXT NOT NULL,
            prompt_tokens INTEGER NOT NULL,
            cached_tokens INTEGER NOT NULL,
            completion_tokens INTEGER NOT NULL,
            duration_s REAL NOT NULL,
            microjoules INTEGER NOT NULL CHECK (microjoules >= 0),
            level TEXT NOT NULL,
            tariff TEXT NOT NULL,
            price_per_kwh TEXT NOT NULL,
            money TEXT NOT NULL
        ) STRICT;
        CREATE INDEX ledger_request_time ON ledger_request (ended_at);
        CREATE TABLE ledger_idle (
            start_at REAL PRIMARY KEY,
            end_at REAL NOT NULL,
            microjoules INTEGER NOT NULL CHECK (microjoules >= 0),
            level TEXT NOT NULL,
            tariff TEXT NOT NULL,
            price_per_kwh TEXT NOT NULL,
            money TEXT NOT NULL,
            loaded TEXT NOT NULL
        ) STRICT;
        """
    )
    for table in ("ledger_request", "ledger_idle"):
        for verb in ("UPDATE", "DELETE"):
            connection.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                "BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END"
            )


def _second(connection: Any) -> None:
    """Add tax and currency to the lines, and which tariff held from when."""
    for table in ("ledger_request", "ledger_idle"):
        connection.execute(f"ALTER TABLE {table} ADD COLUMN tax TEXT NOT NULL DEFAULT '0'")
        connection.execute(f"ALTER TABLE {table} ADD COLUMN currency TEXT NOT NULL DEFAULT ''")
    connection.execute(
        "CREATE TABLE ledger_tariff (from_at REAL PRIMARY KEY, tariff TEXT NOT NULL) STRICT"
    )
    for verb in ("UPDATE", "DELETE"):
        connection.execute(
            f"CREATE TRIGGER ledger_tariff_no_{verb.lower()} BEFORE {verb} ON ledger_tariff "
            "BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END"
        )


SCHEMA: Final = Schema("ledger", (_first, _second))
