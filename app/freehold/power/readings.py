"""From meter readings to energy: wraps, resets, gaps and lost meters never make totals jump.

Pure decisions. Times are monotonic seconds, energy is whole microjoules. What cannot be known is
a `Gap`, never zero and never a guess.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["wall", "calculated", "gpu+cpu", "gpu", "estimate"]


@dataclass(frozen=True, slots=True)
class Meter:
    """What a source measures and how well.

    level: "wall" sees everything; "calculated" adds what is not seen by a calibration or the power
    supply's efficiency; "gpu+cpu" and "gpu" see those parts; "estimate" sees nothing.
    error_share: half-width of the stated error (0.5 is ± 50 %); wrap_microjoules: where the
    counter starts again at zero; max_watts: more than this cannot be, so it is a fault.
    """

    source: str
    level: Level
    error_share: float
    max_watts: float
    wrap_microjoules: int | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """A meter at a moment: an energy counter, or power alone where there is no counter."""

    at_s: float
    microjoules: int | None = None
    watts: float | None = None


@dataclass(frozen=True, slots=True)
class Energy:
    """Energy used between two readings."""

    start_s: float
    end_s: float
    microjoules: int

    @property
    def watts(self) -> float:
        """Return the mean power."""
        return self.microjoules / 1e6 / (self.end_s - self.start_s)


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch nothing is known about, and why."""

    start_s: float
    end_s: float
    reason: Literal["no reading", "counter reset", "implausible", "clock"]


# Power readings further apart than this say nothing about the time between them.
MAX_POWER_GAP_S = 10.0


def energy_between(meter: Meter, earlier: Reading, later: Reading) -> Energy | Gap:
    """Return the energy between two readings of one meter, or the gap it has to be.

    A counter that fell has wrapped if the wrapped difference is physically possible, otherwise it
    was reset (driver reload, reboot). Without a counter the power readings are joined by a
    trapezium, unless they lie too far apart.
    """
    span_s = later.at_s - earlier.at_s
    if span_s <= 0:
        return Gap(earlier.at_s, max(later.at_s, earlier.at_s), "clock")
    if earlier.microjoules is not None and later.microjoules is not None:
        return _from_counter(meter, earlier, later, span_s)
    if earlier.watts is None or later.watts is None or span_s > MAX_POWER_GAP_S:
        return Gap(earlier.at_s, later.at_s, "no reading")
    mean = (earlier.watts + later.watts) / 2
    if not 0 <= mean <= meter.max_watts:
        return Gap(earlier.at_s, later.at_s, "implausible")
    return Energy(earlier.at_s, later.at_s, round(mean * span_s * 1e6))


def _from_counter(meter: Meter, earlier: Reading, later: Reading, span_s: float) -> Energy | Gap:
    assert earlier.microjoules is not None
    assert later.microjoules is not None
    # A counter may be read a little late: allow it one second of its highest power.
    limit = meter.max_watts * (span_s + 1.0) * 1e6
    difference = later.microjoules - earlier.microjoules
    if difference < 0 and meter.wrap_microjoules is not None:
        difference += meter.wrap_microjoules
        if not 0 <= difference <= limit:
            return Gap(earlier.at_s, later.at_s, "counter reset")
    if difference < 0:
        return Gap(earlier.at_s, later.at_s, "counter reset")
    if difference > limit:
        return Gap(earlier.at_s, later.at_s, "implausible")
    return Energy(earlier.at_s, later.at_s, difference)
