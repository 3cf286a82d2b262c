"""What the person sees while a clone is prepared."""

from __future__ import annotations

import sys
import time


class SetupError(Exception):
    """Setting up failed for a reason the person can act on."""

    def __init__(self, message: str, next_step: str) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step


def say(text: str) -> None:
    """Print one line at once."""
    print(text, flush=True)


class Counter:
    """A line `label: 37 of 193` that is rewritten on a terminal and printed rarely elsewhere."""

    def __init__(self, label: str, *, every_s: float = 15.0) -> None:
        self._label = label
        self._every_s = every_s
        self._said_at = 0.0
        self._on_terminal = sys.stdout.isatty()

    def show(self, done: int, total: int) -> None:
        """Show how far it is."""
        now = time.monotonic()
        text = f"{self._label}: {done} of {total}"
        if self._on_terminal:
            print(f"\r\x1b[K{text}", end="", flush=True)
        elif done == total or now - self._said_at >= self._every_s:
            self._said_at = now
            print(text, flush=True)

    def end(self) -> None:
        """Leave the line."""
        if self._on_terminal:
            print(flush=True)
