"""The whole machine from what its GPUs and processor say, where nothing measures at the wall."""

from __future__ import annotations

from dataclasses import dataclass

from freehold.power.readings import Meter

# A power supply alone says nothing of fans, disks and the board: its figure is a rough one.
SUPPLY_ERROR = 0.15
MAX_WATTS = 20_000.0


@dataclass(frozen=True, slots=True)
class WholeMachine:
    """Wall power = offset + factor * what is measured behind the power supply.

    source: how a person sees it; error_share: half-width of the stated error.
    """

    offset_watts: float
    factor: float
    error_share: float
    source: str

    @property
    def meter(self) -> Meter:
        """Return the part that is not measured, as a meter."""
        return Meter(self.source, "calculated", self.error_share, MAX_WATTS)

    def rest_microjoules(self, measured_microjoules: int, span_s: float) -> int:
        """Return the energy of everything that is not measured, never below zero."""
        wall = self.offset_watts * span_s * 1e6 + self.factor * measured_microjoules
        return max(0, round(wall) - measured_microjoules)


def supply_only(efficiency: float) -> WholeMachine:
    """Return what a power supply's efficiency says: measured / efficiency.

    Raises: ValueError unless 0.5 <= efficiency <= 1.
    """
    if not 0.5 <= efficiency <= 1.0:
        raise ValueError(f"a power supply is not {efficiency} efficient")
    name = f"power supply ({efficiency * 100:.0f} % efficient)"
    return WholeMachine(0.0, 1 / efficiency, SUPPLY_ERROR, name)
