"""Turns token bytes into text that may be shown: whole characters, free of stop strings."""

from __future__ import annotations

import codecs
from typing import NamedTuple


class Utf8Stream:
    """Decodes bytes cut anywhere into whole characters; what is not UTF-8 becomes U+FFFD."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes) -> str:
        """Return the characters that are complete now."""
        return self._decoder.decode(data)

    def finish(self) -> str:
        """Return what an incomplete character at the end comes to."""
        return self._decoder.decode(b"", final=True)


class Released(NamedTuple):
    """Text that can no longer become part of a stop string, and the stop string if one came."""

    text: str
    stop: str | None = None


class StopFinder:
    """Holds back text while it may be the beginning of a stop string.

    The stop that begins first wins, and of those the longest.
    """

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = stops
        self._longest = max((len(stop) for stop in stops), default=0)
        self._held = ""
        self._stopped = False

    def feed(self, text: str) -> Released:
        """Add text; return what may be shown. Nothing follows once a stop was found."""
        if self._stopped:
            return Released("")
        if not self._stops:
            return Released(text)
        pending = self._held + text
        found = self._find(pending)
        if found is not None:
            position, stop = found
            open_at = self._open_from(pending)
            # A longer stop that began earlier may still be completed: wait for it.
            if open_at >= position:
                self._stopped = True
                self._held = ""
                return Released(pending[:position], stop)
            self._held = pending[open_at:]
            return Released(pending[:open_at])
        keep_from = self._open_from(pending)
        self._held = pending[keep_from:]
        return Released(pending[:keep_from])

    def finish(self) -> Released:
        """Return what was held back: no more text comes, so it is not a stop string's beginning."""
        pending, self._held = self._held, ""
        if self._stopped:
            return Released("")
        found = self._find(pending)
        if found is None:
            return Released(pending)
        self._stopped = True
        return Released(pending[: found[0]], found[1])

    def _find(self, pending: str) -> tuple[int, str] | None:
        best: tuple[int, str] | None = None
        for stop in self._stops:
            position = pending.find(stop)
            if position >= 0 and (
                best is None
                or position < best[0]
                or (position == best[0] and len(stop) > len(best[1]))
            ):
                best = (position, stop)
        return best

    def _open_from(self, pending: str) -> int:
        """Return where the earliest unfinished beginning of a stop string starts, or the end."""
        end = len(pending)
        for start in range(max(0, end - self._longest + 1), end):
            tail = pending[start:]
            if any(len(stop) > len(tail) and stop.startswith(tail) for stop in self._stops):
                return start
        return end
