"""How long something counted still takes, by how fast it went so far."""

from __future__ import annotations

from typing import Final

LEAST_SEEN_S: Final = 0.8  # a shorter look would guess wildly
LEAST_LEFT_S: Final = 2.0  # what is nearly done needs no figure


class Pace:
    """Watches a count come on; starts over when another thing is counted."""

    def __init__(self) -> None:
        self._name = ""
        self._first: tuple[float, int] = (0.0, 0)
        self._last: tuple[float, int] = (0.0, 0)
        self._total = 0

    def note(self, name: str, done: int, total: int, now_s: float) -> None:
        """Take in that `done` of `total` are done."""
        if name != self._name or total != self._total or done < self._last[1]:
            self._name, self._total = name, total
            self._first = (now_s, done)
        self._last = (now_s, done)

    @property
    def left_s(self) -> float | None:
        """Return the estimated seconds left, None while nothing can be said."""
        spent_s = self._last[0] - self._first[0]
        came = self._last[1] - self._first[1]
        if spent_s < LEAST_SEEN_S or came <= 0 or not self._total:
            return None
        left_s = (self._total - self._last[1]) * spent_s / came
        return left_s if left_s >= LEAST_LEFT_S else None
