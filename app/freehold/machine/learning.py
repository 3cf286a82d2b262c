"""How real runs correct predictions: a running ratio per model and placement that one odd run
cannot move."""

from __future__ import annotations

import math
import statistics
from typing import Final

import msgspec

from freehold.wire import LoadRequest

KEPT: Final = 31
# A run this far off was not what was predicted: another program, a lid that was closed.
MOST_FACTOR: Final = 30.0
# The first runs are trusted by halves.
PRIOR_RUNS: Final = 1.0
LEAST_TOKENS: Final = 16


class Runs(msgspec.Struct, frozen=True):
    """The last runs: measured seconds over predicted seconds per token, and tokens/s.

    count: all runs there were.
    """

    ratios: tuple[float, ...] = ()
    rates: tuple[float, ...] = ()
    count: int = 0

    def with_run(self, ratio: float, tokens_per_s: float) -> Runs:
        """Return the runs with one more; figures that cannot be are left out."""
        if not math.isfinite(ratio) or not 1 / MOST_FACTOR <= ratio <= MOST_FACTOR:
            return self
        if not math.isfinite(tokens_per_s) or tokens_per_s <= 0:
            return self
        return Runs(
            (*self.ratios, ratio)[-KEPT:], (*self.rates, tokens_per_s)[-KEPT:], self.count + 1
        )

    @property
    def ratio(self) -> float:
        """Return by what predicted seconds are to be multiplied: the median, pulled to 1 while
        there are few runs."""
        if not self.ratios:
            return 1.0
        middle = statistics.median(math.log(ratio) for ratio in self.ratios)
        weight = len(self.ratios) / (len(self.ratios) + PRIOR_RUNS)
        return math.exp(weight * middle)

    @property
    def tokens_per_s(self) -> float | None:
        """Return what was measured: the median of the last runs."""
        return statistics.median(self.rates) if self.rates else None


def run_key(machine: str, model: str, load: LoadRequest) -> str:
    """Return what runs belong together by: machine, model, and where its parts lie.

    model: its file's path. The context is no part of it: predictions know it.
    """
    parts = (
        machine,
        model,
        ",".join(load.devices or ()) or "CPU",
        str(load.gpu_layers or 0),
        ":".join(f"{share:g}" for share in load.tensor_split or ()),
        ";".join(pattern for pattern, _ in load.overrides or ()),
        load.kv_type_k or "f16",
        load.memory or "",
    )
    return "|".join(parts)
