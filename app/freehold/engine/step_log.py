"""What each step computed for whom, kept until it is told: energy is shared out by it."""

from __future__ import annotations

import time
from collections import deque
from typing import Final

from freehold.engine.protocol import Steps
from freehold.engine.steps import Step

# More than a minute of the fastest steps: only a server that stopped reading reaches it.
MAX_KEPT: Final = 200_000

StepRecord = tuple[float, float, tuple[tuple[str, int, int, int], ...]]


class StepLog:
    """Filled by the decode thread, emptied by the emit thread."""

    def __init__(self) -> None:
        self._records: deque[StepRecord] = deque(maxlen=MAX_KEPT)
        self._under_way_since: float | None = None

    def begin(self, now_s: float) -> None:
        """Note that a step is under way, so nothing after `now_s` has been told."""
        self._under_way_since = now_s

    def note(self, start_s: float, end_s: float, step: Step) -> None:
        """Keep a computed step."""
        work = [(s.id, 0, 1, s.computed) for s in step.decode]
        for sequence, start, end in step.prefill:
            # Token i reads the i cells before it and its own.
            read = (end - start) * (start + end + 1) // 2
            work.append((sequence.id, end - start, 0, read))
        self._records.append((start_s, end_s, tuple(work)))
        self._under_way_since = None

    def give_up(self) -> None:
        """Note that the step under way was broken off."""
        self._under_way_since = None

    def take(self) -> Steps:
        """Return the steps not told yet."""
        # Read before the records: a step that ends meanwhile is told now or next time.
        since = self._under_way_since
        until_s = time.monotonic() if since is None else since
        taken: list[StepRecord] = []
        records = self._records
        while records:
            taken.append(records.popleft())
        return Steps(until_s=until_s, steps=tuple(taken))
