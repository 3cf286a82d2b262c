"""When to try again, how long to wait, and when a connection counts as stalled. No clocks here."""

from __future__ import annotations

import random
from collections import deque
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 60.0
LONGEST_RETRY_AFTER_S: Final = 3600.0
MAX_DOUBLINGS: Final = 10


def backoff_s(failures: int, dice: random.Random, *, first_s: float = FIRST_WAIT_S) -> float:
    """Return how long to wait after so many failures in a row: doubling, bounded, with jitter.

    The first failure after progress is tried again almost at once.
    """
    if failures <= 1:
        return first_s * dice.uniform(0.05, 0.2)
    longest = min(LONGEST_WAIT_S, first_s * 2.0 ** min(failures - 1, MAX_DOUBLINGS))
    return longest * dice.uniform(0.5, 1.0)


def retry_after_s(header: str | None, now: datetime | None = None) -> float | None:
    """Return the wait that a `Retry-After` header asks for (seconds or a date), None without."""
    if not header:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return min(float(text), LONGEST_RETRY_AFTER_S)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, IndexError, OverflowError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    wait_s = (at - (now or datetime.now(UTC))).total_seconds()
    return max(0.0, min(wait_s, LONGEST_RETRY_AFTER_S))


class StallWatch:
    """Says when a connection has been too slow for too long to be worth keeping."""

    def __init__(self, now_s: float, *, window_s: float, least_bytes_per_s: float) -> None:
        self._window_s = window_s
        self._least = least_bytes_per_s
        self._began_s = now_s
        self._bytes = 0

    def take(self, count: int, now_s: float, waited_s: float = 0.0) -> bool:
        """Note bytes that came; return whether the last whole window was too slow.

        waited_s: time of this window in which we did not read (a bandwidth limit).
        """
        self._bytes += count
        self._began_s += waited_s
        elapsed_s = now_s - self._began_s
        if elapsed_s < self._window_s:
            return False
        stalled = self._bytes < self._least * elapsed_s
        self._began_s, self._bytes = now_s, 0
        return stalled


class SpeedMeter:
    """Bytes per second over the last seconds, from a count that only grows."""

    def __init__(self, window_s: float = 5.0) -> None:
        self._window_s = window_s
        self._points: deque[tuple[float, int]] = deque()

    def note(self, total_bytes: int, now_s: float) -> float:
        """Note the count so far; return the speed."""
        if self._points and total_bytes < self._points[-1][1]:
            self._points.clear()  # a file begins anew
        self._points.append((now_s, total_bytes))
        while len(self._points) > 2 and now_s - self._points[1][0] >= self._window_s:
            self._points.popleft()
        first_s, first = self._points[0]
        return (total_bytes - first) / (now_s - first_s) if now_s > first_s else 0.0
