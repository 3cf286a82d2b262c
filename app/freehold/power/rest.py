"""What the machine draws at rest, with a model loaded and without one."""

from __future__ import annotations

from dataclasses import dataclass

# Of this many quiet seconds on, a mean is worth telling.
ENOUGH_S = 10.0
# Older windows fade: the mean looks back about so far.
MEMORY_S = 600.0


@dataclass(slots=True)
class RestPower:
    """Means of quiet stretches, told only when there have been enough of them."""

    _loaded: tuple[float, float] = (0.0, 0.0)
    _empty: tuple[float, float] = (0.0, 0.0)

    def add(self, watts: float, span_s: float, *, loaded: bool) -> None:
        """Add a stretch in which no request was worked on."""
        if span_s <= 0:
            return
        if loaded:
            self._loaded = _mean(self._loaded, watts, span_s)
        else:
            self._empty = _mean(self._empty, watts, span_s)

    @property
    def loaded_watts(self) -> float | None:
        """Return the power at rest with a model loaded."""
        return self._loaded[0] if self._loaded[1] >= ENOUGH_S else None

    @property
    def empty_watts(self) -> float | None:
        """Return the power at rest without a model."""
        return self._empty[0] if self._empty[1] >= ENOUGH_S else None


def _mean(so_far: tuple[float, float], watts: float, span_s: float) -> tuple[float, float]:
    mean, weight_s = so_far
    kept_s = min(weight_s, MEMORY_S)
    return (mean * kept_s + watts * span_s) / (kept_s + span_s), kept_s + span_s
