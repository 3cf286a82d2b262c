"""The last minute, hour, day and month of power, never more than a screen of points each.

Points are kept as sums, so that one which a restart cut in two goes on where it was.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

Span = Literal["minute", "hour", "day", "month"]
# Seconds one point stands for; 60 to 744 points fill a span.
POINT_S: Final[dict[Span, int]] = {"minute": 1, "hour": 10, "day": 120, "month": 3600}
SPAN_S: Final[dict[Span, int]] = {
    "minute": 60,
    "hour": 3600,
    "day": 86_400,
    "month": 2_678_400,
}
# A minute is over before a server has started again.
KEPT_SPANS: Final[tuple[Span, ...]] = ("hour", "day", "month")


@dataclass(frozen=True, slots=True)
class Point:
    """Mean figures of one stretch. `watts` has one entry a component; None is a gap."""

    at: float
    watts: tuple[float | None, ...]
    tokens_per_s: float


@dataclass(slots=True)
class Bucket:
    """The sums of one stretch: seconds and joules of each component, and tokens."""

    start: float
    seconds: list[float] = field(default_factory=list)
    joules: list[float] = field(default_factory=list)
    tokens: float = 0.0
    span_s: float = 0.0

    def add(self, watts: tuple[float | None, ...], tokens: float, span_s: float) -> None:
        """Add a part of the stretch."""
        missing = len(watts) - len(self.joules)
        self.joules += [0.0] * missing
        self.seconds += [0.0] * missing
        for index, value in enumerate(watts):
            if value is not None:
                self.joules[index] += value * span_s
                self.seconds[index] += span_s
        self.tokens += tokens
        self.span_s += span_s

    @property
    def point(self) -> Point:
        """Return the means."""
        watts = tuple(
            joules / seconds if seconds > 0 else None
            for joules, seconds in zip(self.joules, self.seconds, strict=True)
        )
        return Point(self.start, watts, self.tokens / self.span_s if self.span_s > 0 else 0.0)


class PowerHistory:
    """Points of four spans, each with its own resolution, in bounded memory."""

    def __init__(self) -> None:
        self._buckets: dict[Span, deque[Bucket]] = {
            span: deque(maxlen=SPAN_S[span] // POINT_S[span] + 1) for span in POINT_S
        }
        self._changed: dict[tuple[Span, float], Bucket] = {}

    def add(self, at: float, watts: tuple[float | None, ...], tokens: float, span_s: float) -> None:
        """Add a stretch that ended at Unix time `at`, during which `tokens` were made.

        A clock that went back a little starts no earlier point: the stretch joins the newest. One
        that was set back further takes away the points that are now to come.
        """
        for span, step in POINT_S.items():
            start = at // step * step
            kept = self._buckets[span]
            while kept and kept[-1].start > start + SPAN_S[span]:
                self._changed.pop((span, kept.pop().start), None)
            if not kept or start > kept[-1].start:
                kept.append(Bucket(start))
            kept[-1].add(watts, tokens, span_s)
            if span in KEPT_SPANS:
                self._changed[span, kept[-1].start] = kept[-1]

    def points(self, span: Span) -> tuple[Point, ...]:
        """Return a span's points in order, the unfinished one last."""
        return tuple(bucket.point for bucket in self._buckets[span])

    def restore(self, span: Span, buckets: Iterable[Bucket], now: float) -> None:
        """Put in what was kept, if it is not older than the span nor of a time to come."""
        kept = self._buckets[span]
        kept.clear()
        kept.extend(b for b in buckets if now - SPAN_S[span] <= b.start <= now)

    def take_changed(self) -> list[tuple[Span, Bucket]]:
        """Return the points that changed since the last call, to be kept."""
        changed = [(span, bucket) for (span, _), bucket in self._changed.items()]
        self._changed.clear()
        return changed
