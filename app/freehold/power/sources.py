"""The meters of this machine: GPU counters, CPU counters, and an honest estimate.

Each source has a `Meter` (what it sees and how well) and `read`, which returns None fields rather
than numbers it does not have. Plugs on the network are in `plugs`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from freehold.devices.nvml import GpuReading, Nvml
from freehold.power.readings import Meter, Reading

POWERCAP = Path("/sys/class/powercap")


class Source(Protocol):
    """Something that can be read again and again."""

    @property
    def meter(self) -> Meter: ...

    def read(self) -> Reading:
        """Return the figures now; never raises for a meter that is away."""
        ...


class GpuSource:
    """A GPU's energy counter (or its power, where there is no counter)."""

    def __init__(
        self,
        read: Callable[[int], GpuReading],
        index: int,
        name: str,
        limit_watts: float | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._index = index
        self._clock = clock
        # NVML's own figure is within 5 % on data-centre cards; brief peaks go over the limit.
        self.meter = Meter(f"GPU {index} {name} (NVML)", "gpu", 0.05, 2 * (limit_watts or 1000.0))

    def read(self) -> Reading:
        """Return the counter in microjoules and the power."""
        figures = self._read(self._index)
        at_s = self._clock()
        if figures.lost:
            return Reading(at_s)
        counter = figures.energy_millijoules
        return Reading(at_s, None if counter is None else counter * 1000, figures.power_watts)


class RaplSource:
    """A CPU package's or the memory's energy counter in the powercap tree."""

    def __init__(
        self, zone: Path, clock: Callable[[], float] = time.monotonic, max_watts: float = 800.0
    ) -> None:
        self._zone = zone
        self._clock = clock
        name = _read_text(zone / "name") or zone.name
        self.meter = Meter(
            f"RAPL {name}", "gpu+cpu", 0.05, max_watts, _read_int(zone / "max_energy_range_uj")
        )

    def read(self) -> Reading:
        """Return the counter in microjoules, or nothing where it cannot be read."""
        counter = _read_int(self._zone / "energy_uj")
        return Reading(self._clock(), counter)


@dataclass(frozen=True, slots=True)
class RaplAccess:
    """The powercap zones that can be read, and what to do about those that cannot."""

    zones: tuple[Path, ...]
    denied: tuple[Path, ...]

    @property
    def udev_rule(self) -> str:
        """Return the rule, to be installed by hand, that lets a group read the counters."""
        return (
            'SUBSYSTEM=="powercap", ACTION=="add", '
            'RUN+="/bin/chgrp users /sys%p/energy_uj", RUN+="/bin/chmod g+r /sys%p/energy_uj"'
        )


def find_rapl(root: Path = POWERCAP) -> RaplAccess:
    """Return the package and memory zones below `root`, each joule counted once."""
    zones: list[Path] = []
    denied: list[Path] = []
    for zone in sorted(root.glob("intel-rapl:*")) if root.is_dir() else []:
        name = _read_text(zone / "name") or ""
        if not (name.startswith("package") or name in {"psys", "dram"}):
            continue
        (zones if _read_int(zone / "energy_uj") is not None else denied).append(zone)
    # "psys" is the whole board: with it, packages and memory would be counted twice.
    whole = [zone for zone in zones if _read_text(zone / "name") == "psys"]
    return RaplAccess(tuple(whole or zones), tuple(denied))


class EstimateSource:
    """The last resort: idle and full power of a machine, scaled by its load, ± 50 %."""

    def __init__(
        self,
        load_share: Callable[[], float],
        idle_watts: float,
        full_watts: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load_share = load_share
        self._idle = idle_watts
        self._full = full_watts
        self._clock = clock
        self.meter = Meter("estimate from load", "estimate", 0.5, full_watts)

    def read(self) -> Reading:
        """Return the power the load suggests."""
        load = min(max(self._load_share(), 0.0), 1.0)
        return Reading(self._clock(), watts=self._idle + (self._full - self._idle) * load)


def gpu_sources(nvml: Nvml) -> tuple[GpuSource, ...]:
    """Return one source for each GPU the driver lists."""
    return tuple(
        GpuSource(nvml.read, gpu.index, gpu.name, gpu.power_limit_watts)
        for gpu in nvml.identities()
    )


def _read_text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return None


def _read_int(path: Path) -> int | None:
    text = _read_text(path)
    return int(text) if text is not None and text.isdigit() else None
