"""A meter that answers slowly, read in the background so that it never holds up the others."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from freehold.power.readings import MAX_POWER_GAP_S, Meter, Reading

log = logging.getLogger(__name__)


def in_thread(work: Callable[[], None]) -> None:
    """Run something on a thread of its own that never keeps the program from ending."""
    threading.Thread(target=work, name="slow-meter", daemon=True).start()


class PolledSource:
    """Gives the last power that a slow meter told; nothing once that is too old to be true.

    ask: returns the watts now, or None; may take seconds.
    """

    def __init__(
        self,
        meter: Meter,
        ask: Callable[[], float | None],
        *,
        every_s: float = 4.0,
        clock: Callable[[], float] = time.monotonic,
        spawn: Callable[[Callable[[], None]], None] = in_thread,
    ) -> None:
        self.meter = meter
        self._ask = ask
        self._every_s = every_s
        self._clock = clock
        self._spawn = spawn
        self._watts: float | None = None
        self._told_s = -float("inf")
        self._asked_s = -float("inf")
        self._asking = False
        self._lock = threading.Lock()

    def read(self) -> Reading:
        """Return the power that was told last, and ask again when it is time."""
        now_s = self._clock()
        with self._lock:
            due = not self._asking and now_s - self._asked_s >= self._every_s
            if due:
                self._asking, self._asked_s = True, now_s
        if due:
            self._spawn(self._fetch)
        with self._lock:
            fresh = self._clock() - self._told_s <= MAX_POWER_GAP_S
            return Reading(self._clock(), None, self._watts if fresh else None)

    def _fetch(self) -> None:
        watts: float | None = None
        try:
            watts = self._ask()
        except Exception:
            log.exception("a slow meter failed")
        with self._lock:
            self._asking = False
            if watts is not None:
                self._watts, self._told_s = watts, self._clock()
