"""Ten minutes beside a plug: what the rest of the machine draws, fitted once and kept.

Five minutes at rest, five under load. Every ten seconds give a pair (measured, wall); the first
pairs of each half are left out, since plugs follow a step slowly. Pure: the caller reads and waits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final, Literal

from freehold.errors import AppError
from freehold.power.least_squares import fit_line
from freehold.power.sampler import Sample

Phase = Literal["rest", "load"]
REST_S: Final = 300.0
LOAD_S: Final = 300.0
PAIR_S: Final = 10.0
SETTLE_S: Final = 20.0
# Of the 27 pairs of each half so many must be sound.
ENOUGH_PAIRS: Final = 14
PLUG_ERROR: Final = 0.02
LEAST_SPREAD_WATTS: Final = 5.0
LEAST_SPREAD_SHARE: Final = 0.1


@dataclass(frozen=True, slots=True)
class Fit:
    """wall = offset + factor * measured, with standard errors of both.

    error_share: the half-width of the error of a wall power that is calculated so.
    """

    offset_watts: float
    factor: float
    offset_error: float
    factor_error: float
    error_share: float
    pairs: int


@dataclass(slots=True)
class Calibration:
    """Collects pairs of samples that cover the same time."""

    began_s: float
    pairs: dict[Phase, list[tuple[float, float]]] = field(
        default_factory=lambda: {"rest": [], "load": []}
    )
    lost: int = 0
    _open: list[tuple[Sample, Sample]] = field(default_factory=list)

    def phase(self, now_s: float) -> Phase | None:
        """Return which half it is, None once both are over."""
        passed = now_s - self.began_s
        return "rest" if passed < REST_S else "load" if passed < REST_S + LOAD_S else None

    def left_s(self, now_s: float) -> float:
        """Return how long it still takes."""
        return max(0.0, self.began_s + REST_S + LOAD_S - now_s)

    def share(self, now_s: float) -> float:
        """Return how much of it is done."""
        return 1.0 - self.left_s(now_s) / (REST_S + LOAD_S)

    def add(self, measured: Sample | None, wall: Sample | None, now_s: float) -> None:
        """Add what the machine's meters and the plug say of the last second."""
        phase = self.phase(now_s)
        in_phase_s = now_s - self.began_s - (REST_S if phase == "load" else 0.0)
        if phase is None or measured is None or wall is None or in_phase_s <= SETTLE_S:
            self._open.clear()
            return
        if not (measured.complete and wall.complete):
            self.lost += bool(self._open)
            self._open.clear()
            return
        self._open.append((measured, wall))
        if self._open[-1][0].end_s - self._open[0][0].start_s >= PAIR_S - 0.5:
            self.pairs[phase].append(tuple(_watts([p[i] for p in self._open]) for i in (0, 1)))  # type: ignore[arg-type]
            self._open.clear()

    def fit(self) -> Fit:
        """Return the line through all pairs.

        Raises: AppError `network_failed` when the plug was away too long, `conflict` when rest and
        load drew the same or the figures cannot be of one machine.
        """
        rest, load = self.pairs["rest"], self.pairs["load"]
        if min(len(rest), len(load)) < ENOUGH_PAIRS:
            raise AppError(
                "network_failed",
                "The plug or a meter did not answer long enough to calibrate with.",
                "See that the plug stays in reach, and calibrate again.",
                retryable=True,
            )
        quiet, busy = (sum(x for x, _ in half) / len(half) for half in (rest, load))
        if busy - quiet < max(LEAST_SPREAD_WATTS, LEAST_SPREAD_SHARE * quiet):
            raise AppError(
                "conflict",
                f"The meters saw {quiet:.0f} W at rest and {busy:.0f} W under load: too little "
                "difference to tell the rest of the machine from it.",
                "Close other programs, let a larger model answer, and calibrate again.",
            )
        line = fit_line([*rest, *load])
        assert line is not None
        if not 0.7 <= line.factor <= 3.0 or not -50 <= line.offset <= 5000:
            raise AppError(
                "conflict",
                f"Plug and meters do not fit together ({line.offset:.0f} W + {line.factor:.2f} "
                "times what is measured).",
                "See that this machine alone hangs on the plug, and all of it; then try again.",
            )
        mean_wall = sum(wall for _, wall in (*rest, *load)) / (len(rest) + len(load))
        error = math.hypot(PLUG_ERROR, 2 * line.scatter / mean_wall)
        return Fit(
            line.offset,
            line.factor,
            line.offset_error,
            line.factor_error,
            round(error, 3),
            len(rest) + len(load),
        )


def _watts(samples: list[Sample]) -> float:
    span_s = sum(sample.end_s - sample.start_s for sample in samples)
    return sum(sample.microjoules for sample in samples) / 1e6 / span_s
