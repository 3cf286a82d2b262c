"""The last minute, hour, day and month of power, never more than a screen of points each."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final, Literal

Span = Literal["minute", "hour", "day", "month"]
# Seconds one point stands for; 120 to 720 points fill a span.
POINT_S: Final[dict[Span, int]] = {"minute": 1, "hour": 10, "day": 120, "month": 3600}
SPAN_S: Final[dict[Span, int]] = {
    "minute": 60,
    "hour": 3600,
    "day": 86_400,
    "month": 2_678_400,
}


@dataclass(frozen=True, slots=True)
class Point:
    """Mean figures of one stretch. `watts` has one entry a component; None is a gap."""

    at: float
    watts: tuple[float | None, ...]
    tokens_per_s: float


@dataclass(slots=True)
class _Bucket:
    start: float
    seconds: list[float] = field(default_factory=list)
    joules: list[float] = field(default_factory=list)
    tokens: float = 0.0
    span_s: float = 0.0

    def add(self, watts: tuple[float | None, ...], tokens: float, span_s: float) -> None:
        missing = len(watts) - len(self.joules)
        self.joules += [0.0] * missing
        self.seconds += [0.0] * missing
        for index, value in enumerate(watts):
            if value is not None:
                self.joules[index] += value * span_s
                self.seconds[index] += span_s
        self.tokens += tokens
        self.span_s += span_s

    def point(self) -> Point:
        watts = tuple(
            joules / seconds if seconds > 0 else None
            for joules, seconds in zip(self.joules, self.seconds, strict=True)
        )
        return Point(self.start, watts, self.tokens / self.span_s if self.span_s > 0 else 0.0)


class PowerHistory:
    """Points of four spans, each with its own resolution, in bounded memory."""

    def __init__(self) -> None:
        self._points: dict[Span, deque[Point]] = {
            span: deque(maxlen=SPAN_S[span] // POINT_S[span]) for span in POINT_S
        }
        self._open: dict[Span, _Bucket] = {}

    def add(self, at: float, watts: tuple[float | None, ...], tokens: float, span_s: float) -> None:
        """Add a stretch that ended at Unix time `at`, during which `tokens` were made.

        A clock that went back starts no earlier bucket: the stretch joins the open one.
        """
        for span, step in POINT_S.items():
            start = at // step * step
            bucket = self._open.get(span)
            if bucket is None or start > bucket.start:
                if bucket is not None:
                    self._points[span].append(bucket.point())
                bucket = self._open[span] = _Bucket(start)
            bucket.add(watts, tokens, span_s)

    def points(self, span: Span) -> tuple[Point, ...]:
        """Return a span's points in order, the unfinished one last."""
        bucket = self._open.get(span)
        return (*self._points[span], *([bucket.point()] if bucket else []))
