"""Marks of citations taken out of an answer while it is written; they are checked at its end."""

from __future__ import annotations

import re
from typing import Final

LONGEST_MARK: Final = 660
_MARK: Final = re.compile(
    r"\[(?:passages?\s+)?\d{1,4}(?:\s*,\s*\d{1,4})*"
    r"(?:\s*[:,]?\s*[\"“«„][^\n]{1,600}?[\"”»“])?\s*\]",
    re.I,
)
# The beginning of one: nothing in it says yet that it is none.
_BEGUN: Final = re.compile(
    r"\[(?:p[a-z]*\s*)?[\d,\s]*(?:[:,]?\s*(?:[\"“«„][^\n]*)?)?\Z",
    re.I,
)


class MarkFilter:
    """Passes text on without marks; what may become one is held back until that is known."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """Return what may be shown after the next piece of text."""
        self._held += text
        shown: list[str] = []
        while self._held:
            before, bracket, after = self._held.partition("[")
            text = before.rstrip(" ")  # a mark takes the space before it along
            shown.append(text)
            space, rest = before[len(text) :], bracket + after
            mark = _MARK.match(rest)
            if mark is not None:
                self._held = rest[mark.end() :]
                continue
            self._held = space + rest
            if not rest or (len(rest) <= LONGEST_MARK and _BEGUN.match(rest)):
                break
            shown.append(space + "[")
            self._held = after
        return "".join(shown)
