"""Tool tips of text somebody else wrote: Qt would take markup in them for rich text and load it."""

from __future__ import annotations

import html

MOST_CHARS = 600


def plain_tip(text: str) -> str:
    """Return a tool tip that shows `text` as it is."""
    if not text:
        return ""
    shown = text if len(text) <= MOST_CHARS else f"{text[:MOST_CHARS]}…"
    return f"<qt>{html.escape(shown)}</qt>"
