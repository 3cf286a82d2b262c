"""A meter with a counter that follows scripted watts, exact to the microjoule."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from freehold.power.readings import Level, Meter, Reading


class ScriptedMeter:
    """Attributes: readings: every counter it has told, in microjoules."""

    def __init__(
        self,
        watts: Callable[[float], float],
        *,
        level: Level = "wall",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.meter = Meter("scripted meter", level, 0.02, 5000.0)
        self.readings: list[int] = []
        self._watts = watts
        self._clock = clock
        self._lock = threading.Lock()
        self._at_s = self._began_s = clock()
        self._microjoules = 0

    def read(self) -> Reading:
        with self._lock:
            now_s = self._clock()
            watts = self._watts(now_s - self._began_s)
            self._microjoules += round(watts * (now_s - self._at_s) * 1e6)
            self._at_s = now_s
            self.readings.append(self._microjoules)
            return Reading(now_s, self._microjoules, watts)

    @property
    def counted(self) -> int:
        """Return the microjoules between the first reading and the last."""
        return self.readings[-1] - self.readings[0] if self.readings else 0
