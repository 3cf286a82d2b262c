"""Keeping the history of power and the points of the sweep in the database."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import msgspec

from freehold.power.history import KEPT_SPANS, SPAN_S, Bucket, PowerHistory, Span
from freehold.storage.connection import Database
from freehold.wire_power import LimitPoint

MAX_LIMIT_POINTS: Final = 400
Sums = tuple[list[float], list[float]]


class PowerStore:
    """Bounded: each span keeps what its picture can show, the sweep its newest points."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(
        self, changed: Sequence[tuple[Span, Bucket]], parts: tuple[str, ...], now: float
    ) -> None:
        """Keep points, and forget those that no picture shows any more."""
        names = json.dumps(parts)
        rows = [(span, b.start, names, _pack(b), b.tokens, b.span_s) for span, b in changed]

        def write(connection: Any) -> None:
            connection.executemany(
                "INSERT OR REPLACE INTO power_history "
                "(span, start_at, parts, sums, tokens, span_s) VALUES (?, ?, ?, ?, ?, ?)",
                rows,
            )
            for span in KEPT_SPANS:
                # What lies further ahead than a span was written while the clock was wrong.
                connection.execute(
                    "DELETE FROM power_history WHERE span = ? AND (start_at < ? OR start_at > ?)",
                    (span, now - SPAN_S[span], now + SPAN_S[span]),
                )

        await self._database.write(write)

    async def load(self, parts: tuple[str, ...], now: float) -> PowerHistory:
        """Return the history as far as it was kept; a meter that was not read then is a gap."""
        history = PowerHistory()
        for span in KEPT_SPANS:
            rows = await self._database.read(partial(_rows, span=span))
            history.restore(span, [_bucket(row, parts) for row in rows], now)
        return history

    async def add_point(self, point: LimitPoint) -> None:
        """Keep a point of the sweep."""

        def write(connection: Any) -> None:
            connection.execute(
                "INSERT OR REPLACE INTO power_limit_point (at, point) VALUES (?, ?)",
                (point.at, msgspec.msgpack.encode(point)),
            )
            connection.execute(
                "DELETE FROM power_limit_point WHERE at NOT IN "
                "(SELECT at FROM power_limit_point ORDER BY at DESC LIMIT ?)",
                (MAX_LIMIT_POINTS,),
            )

        await self._database.write(write)

    async def points(self) -> tuple[LimitPoint, ...]:
        """Return the points of the sweep, oldest first."""
        rows = await self._database.read(
            lambda c: c.execute("SELECT point FROM power_limit_point ORDER BY at").fetchall()
        )
        return tuple(msgspec.msgpack.decode(row[0], type=LimitPoint) for row in rows)

    async def forget_points(self) -> None:
        """Remove the points of the sweep."""
        await self._database.write(lambda c: c.execute("DELETE FROM power_limit_point"))


def _rows(connection: Any, *, span: Span) -> list[Any]:
    found: list[Any] = connection.execute(
        "SELECT start_at, parts, sums, tokens, span_s FROM power_history "
        "WHERE span = ? ORDER BY start_at",
        (span,),
    ).fetchall()
    return found


def _pack(bucket: Bucket) -> bytes:
    return msgspec.msgpack.encode((bucket.seconds, bucket.joules))


def _bucket(row: tuple[float, str, bytes, float, float], parts: tuple[str, ...]) -> Bucket:
    """Return a kept point with its figures in the order of today's meters."""
    start, names, sums, tokens, span_s = row
    seconds, joules = msgspec.msgpack.decode(sums, type=Sums)
    known = {name: (s, j) for name, s, j in zip(json.loads(names), seconds, joules, strict=False)}
    figures = [known.get(part, (0.0, 0.0)) for part in parts]
    return Bucket(start, [s for s, _ in figures], [j for _, j in figures], tokens, span_s)
