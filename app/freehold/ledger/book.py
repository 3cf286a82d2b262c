"""Writing and reading the ledger's lines."""

from __future__ import annotations

from dataclasses import astuple, fields
from decimal import Decimal
from typing import Any, Final

from freehold.ledger.entries import IdleEntry, RequestEntry
from freehold.storage.connection import Database

REQUEST_COLUMNS: Final = tuple(field.name for field in fields(RequestEntry))
IDLE_COLUMNS: Final = tuple(field.name for field in fields(IdleEntry))


class Ledger:
    """The append-only record of what was used and what it cost."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_request(self, entry: RequestEntry) -> None:
        """Add a request's line; the same request is counted once."""
        await self._database.write(
            lambda c: _insert(c, "ledger_request", REQUEST_COLUMNS, astuple(entry))
        )

    async def add_idle(self, entry: IdleEntry) -> None:
        """Add an idle interval's line."""
        await self._database.write(
            lambda c: _insert(c, "ledger_idle", IDLE_COLUMNS, astuple(entry))
        )

    async def requests(self, start_at: float, end_at: float) -> tuple[RequestEntry, ...]:
        """Return the requests that ended in [start_at, end_at), in order."""
        rows = await self._database.read(
            lambda c: c.execute(
                f"SELECT {', '.join(REQUEST_COLUMNS)} FROM ledger_request "  # noqa: S608 - constants
                "WHERE ended_at >= ? AND ended_at < ? ORDER BY ended_at, request_id",
                (start_at, end_at),
            ).fetchall()
        )
        return tuple(RequestEntry(**_named(REQUEST_COLUMNS, row)) for row in rows)

    async def idle(self, start_at: float, end_at: float) -> tuple[IdleEntry, ...]:
        """Return the idle intervals that ended in [start_at, end_at), in order."""
        rows = await self._database.read(
            lambda c: c.execute(
                f"SELECT {', '.join(IDLE_COLUMNS)} FROM ledger_idle "  # noqa: S608 - constants
                "WHERE end_at >= ? AND end_at < ? ORDER BY end_at",
                (start_at, end_at),
            ).fetchall()
        )
        return tuple(IdleEntry(**_named(IDLE_COLUMNS, row)) for row in rows)


def _named(columns: tuple[str, ...], row: tuple[Any, ...]) -> dict[str, Any]:
    """Return a row by column name, its decimals read back exactly."""
    named = dict(zip(columns, row, strict=True))
    for column in ("price_per_kwh", "money"):
        named[column] = Decimal(named[column])
    return named


def _insert(connection: Any, table: str, columns: tuple[str, ...], values: tuple[Any, ...]) -> None:
    marks = ", ".join("?" * len(columns))
    plain = [str(value) if isinstance(value, Decimal) else value for value in values]
    connection.execute(
        f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({marks})",  # noqa: S608
        plain,
    )
