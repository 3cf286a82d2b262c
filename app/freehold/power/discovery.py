"""Which meters this machine has."""

from __future__ import annotations

import os

import psutil

from freehold.devices.nvml import Nvml
from freehold.power.sources import EstimateSource, RaplSource, Source, find_rapl, gpu_sources

# A desktop's or laptop's ballpark where nothing measures; stated as ± 50 %.
IDLE_WATTS = 25.0
WATTS_PER_CORE = 9.0


def find_sources(nvml: Nvml | None) -> tuple[Source, ...]:
    """Return the GPU and processor counters that can be read, or the estimate alone."""
    found: list[Source] = list(gpu_sources(nvml)) if nvml is not None else []
    found += [RaplSource(zone) for zone in find_rapl().zones]
    return tuple(found) or (estimate(),)


def estimate() -> EstimateSource:
    """Return the last resort: the processor's load between two assumed powers."""
    full_watts = IDLE_WATTS + WATTS_PER_CORE * (os.cpu_count() or 1)
    return EstimateSource(lambda: psutil.cpu_percent(None) / 100, IDLE_WATTS, full_watts)
