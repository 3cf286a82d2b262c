"""Writing and reading the ledger's lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, fields
from decimal import Decimal
from typing import Any, Final

import msgspec

from freehold.errors import AppError
from freehold.ledger.charges import TariffStay
from freehold.ledger.entries import IdleEntry, RequestEntry
from freehold.ledger.tariff_plan import check_charges
from freehold.storage.connection import Database
from freehold.wire_costs import TariffPlan

REQUEST_COLUMNS: Final = tuple(field.name for field in fields(RequestEntry))
IDLE_COLUMNS: Final = tuple(field.name for field in fields(IdleEntry))


class Ledger:
    """The append-only record of what was used and what it cost."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_lines(self, lines: Sequence[RequestEntry | IdleEntry]) -> None:
        """Add lines, the same request counted once; what ends together waits for the disk once."""

        def write(connection: Any) -> None:
            for line in lines:
                if isinstance(line, RequestEntry):
                    _insert(connection, "ledger_request", REQUEST_COLUMNS, astuple(line))
                else:
                    _insert(connection, "ledger_idle", IDLE_COLUMNS, astuple(line))

        await self._database.write(write)

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

    async def note_tariff(self, at: float, plan: TariffPlan | None) -> None:
        """Note which tariff holds from now on; one that holds already is not noted again."""
        text = msgspec.json.encode(plan).decode() if plan is not None else ""

        def note(connection: Any) -> None:
            last = connection.execute(
                "SELECT tariff FROM ledger_tariff WHERE from_at <= ? ORDER BY from_at DESC LIMIT 1",
                (at,),
            ).fetchone()
            if (last[0] if last else "") != text:
                connection.execute(
                    "INSERT OR IGNORE INTO ledger_tariff (from_at, tariff) VALUES (?, ?)",
                    (at, text),
                )

        await self._database.write(note)

    async def tariffs(self) -> tuple[TariffStay, ...]:
        """Return every tariff that held and from when, in order."""
        rows = await self._database.read(
            lambda c: c.execute(
                "SELECT from_at, tariff FROM ledger_tariff ORDER BY from_at"
            ).fetchall()
        )
        return tuple(_stay(from_at, text) for from_at, text in rows)


def _stay(from_at: float, text: str) -> TariffStay:
    if not text:
        return TariffStay(from_at, None)
    try:
        return TariffStay(from_at, check_charges(msgspec.json.decode(text, type=TariffPlan)))
    except (msgspec.DecodeError, AppError):
        # Written by another version whose tariffs this one does not know: it charges nothing.
        return TariffStay(from_at, None)


def _named(columns: tuple[str, ...], row: tuple[Any, ...]) -> dict[str, Any]:
    """Return a row by column name, its decimals read back exactly."""
    named = dict(zip(columns, row, strict=True))
    for column in ("price_per_kwh", "money", "tax"):
        named[column] = Decimal(named[column])
    return named


def _insert(connection: Any, table: str, columns: tuple[str, ...], values: tuple[Any, ...]) -> None:
    marks = ", ".join("?" * len(columns))
    plain = [str(value) if isinstance(value, Decimal) else value for value in values]
    connection.execute(
        f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({marks})",  # noqa: S608
        plain,
    )
