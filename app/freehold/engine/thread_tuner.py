"""Chooses how many CPU threads a step should use, by trying.

llama.cpp's threads wait for each other a hundred times per token. When another program holds one
of the cores, or the model is tiny, fewer threads are faster, at times ten times so. No formula
knows that, but a few steps with another number show it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

WINDOW_STEPS: Final = 12
TRY_EVERY_STEPS: Final = 150
BETTER: Final = 0.95  # a change must save at least 5 %
MEMORY: Final = 0.7  # weight of the past in the running cost


@dataclass(slots=True)
class _Regime:
    """What is known for batches of one size class."""

    choice: int
    cost_s: float | None = None  # running mean per token
    trial: int | None = None
    spent_s: float = 0.0
    tokens: int = 0
    steps: int = 0
    steps_until_trial: int = WINDOW_STEPS
    direction: int = -1


class ThreadTuner:
    """Hill climbing over thread counts, apart for each size class of batches."""

    def __init__(self, most: int) -> None:
        self.candidates = tuple(
            sorted({count for count in (most, most - 1, most * 3 // 4, most // 2, 1) if count > 0})
        )
        self._regimes: dict[int, _Regime] = {}

    def choose(self, tokens: int) -> int:
        """Return the threads for a batch of `tokens`."""
        regime = self._regime(tokens)
        index = regime.choice if regime.trial is None else regime.trial
        return self.candidates[index]

    def note(self, tokens: int, seconds: float) -> None:
        """Tell how long a batch took with the threads last chosen for its size."""
        regime = self._regime(tokens)
        regime.spent_s += seconds
        regime.tokens += tokens
        regime.steps += 1
        if regime.trial is not None:
            # A trial that goes badly need not be seen through.
            hopeless = (
                regime.cost_s is not None
                and regime.spent_s > 3 * WINDOW_STEPS * tokens * regime.cost_s
            )
            if regime.steps >= WINDOW_STEPS or hopeless:
                self._judge(regime)
        elif regime.steps >= WINDOW_STEPS:
            cost = regime.spent_s / regime.tokens
            past = regime.cost_s
            regime.cost_s = cost if past is None else MEMORY * past + (1 - MEMORY) * cost
            self._restart(regime)
            regime.steps_until_trial -= WINDOW_STEPS
            if regime.steps_until_trial <= 0:
                self._begin_trial(regime)

    def _regime(self, tokens: int) -> _Regime:
        size_class = tokens.bit_length()
        regime = self._regimes.get(size_class)
        if regime is None:
            regime = self._regimes[size_class] = _Regime(choice=len(self.candidates) - 1)
        return regime

    def _begin_trial(self, regime: _Regime) -> None:
        target = regime.choice + regime.direction
        if not 0 <= target < len(self.candidates):
            regime.direction = -regime.direction
            target = regime.choice + regime.direction
        if 0 <= target < len(self.candidates):
            regime.trial = target
        regime.steps_until_trial = TRY_EVERY_STEPS

    def _judge(self, regime: _Regime) -> None:
        cost = regime.spent_s / regime.tokens
        assert regime.trial is not None
        if regime.cost_s is not None and cost < regime.cost_s * BETTER:
            regime.choice = regime.trial
            regime.cost_s = cost
            regime.steps_until_trial = WINDOW_STEPS
        else:
            regime.direction = -regime.direction
        regime.trial = None
        self._restart(regime)

    def _restart(self, regime: _Regime) -> None:
        regime.spent_s, regime.tokens, regime.steps = 0.0, 0, 0
