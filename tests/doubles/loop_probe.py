"""How long the Qt event loop was away: a timer that should tick every few milliseconds."""

from __future__ import annotations

import time

from PySide6.QtCore import QObject, Qt, QTimer

TICK_MS = 5


class LoopProbe(QObject):
    """Notes the gaps between its ticks, beyond the tick itself, in milliseconds.

    `cpu_ms` is what this thread worked between two ticks: unlike the gaps it does not grow because
    another program had the processor.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.gaps_ms: list[float] = []
        self.cpu_ms: list[float] = []
        self._last_cpu = 0.0
        self._last = 0.0
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self._tick)

    def start(self) -> None:
        self.gaps_ms.clear()
        self.cpu_ms.clear()
        self._last, self._last_cpu = time.perf_counter(), time.thread_time()
        self._timer.start()

    def stop(self) -> None:
        self._tick()
        self._timer.stop()

    def share(self, part: float) -> float:
        """Return the gap that `part` of all gaps do not exceed."""
        ordered = sorted(self.gaps_ms)
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))]

    @property
    def longest_ms(self) -> float:
        return max(self.gaps_ms)

    def _tick(self) -> None:
        now, cpu = time.perf_counter(), time.thread_time()
        self.gaps_ms.append(max(0.0, (now - self._last) * 1000 - TICK_MS))
        self.cpu_ms.append((cpu - self._last_cpu) * 1000)
        self._last, self._last_cpu = now, cpu
