"""Which meters this machine has."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable

import psutil

from freehold.devices.nvml import Nvml
from freehold.power.sources import EstimateSource, RaplSource, Source, find_rapl, gpu_sources

# A desktop's or laptop's ballpark where nothing measures; stated as ± 50 %.
IDLE_WATTS = 25.0
WATTS_PER_CORE = 9.0
CHILDREN_EVERY_S = 5.0


def find_sources(nvml: Nvml | None) -> tuple[Source, ...]:
    """Return the GPU and processor counters that can be read, or the estimate alone."""
    found: list[Source] = list(gpu_sources(nvml)) if nvml is not None else []
    found += [RaplSource(zone) for zone in find_rapl().zones]
    return tuple(found) or (estimate(),)


def estimate() -> EstimateSource:
    """Return the last resort: this program's share of the processor between two assumed powers.

    Other programs' load is not ours to account for, so it does not count.
    """
    full_watts = IDLE_WATTS + WATTS_PER_CORE * (os.cpu_count() or 1)
    return EstimateSource(ProcessLoad(), IDLE_WATTS, full_watts)


class ProcessLoad:
    """The share of all cores that this process and its children used since the last call.

    Finding the children means looking through every process of the machine, which takes ten times
    as long as asking those that are known: it is done every few seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._process = psutil.Process()
        self._children: list[psutil.Process] = []
        self._found_s = -float("inf")
        self._used_s = self._cpu_seconds()
        self._at_s = clock()

    def __call__(self) -> float:
        used_s, at_s = self._cpu_seconds(), self._clock()
        # A child that ended takes its seconds with it: that is no negative load.
        spent_s = max(0.0, sum(used_s.get(p, 0.0) - self._used_s.get(p, 0.0) for p in used_s))
        span_s = at_s - self._at_s
        self._used_s, self._at_s = used_s, at_s
        return spent_s / span_s / (os.cpu_count() or 1) if span_s > 0 else 0.0

    def _cpu_seconds(self) -> dict[int, float]:
        now_s = self._clock()
        if now_s - self._found_s >= CHILDREN_EVERY_S:
            self._found_s = now_s
            self._children = self._process.children(recursive=True)
        found: dict[int, float] = {}
        for process in (self._process, *self._children):
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                found[process.pid] = times.user + times.system
        return found
