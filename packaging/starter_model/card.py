"""Writes the measured part of the model card, between its two marks."""

from __future__ import annotations

from pathlib import Path
from typing import Final

BEGIN: Final = "<!-- measured: written by `make starter-eval`, not by hand -->"
END: Final = "<!-- end of what was measured -->"


def put_measured(card: str, measured: str) -> str:
    """Return the card with its measured part replaced; refuse a card without the marks."""
    before, begin, rest = card.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("The card has no place for what was measured.")
    return f"{before}{BEGIN}\n\n{measured.strip()}\n\n{END}{after}"


def update_card(path: Path, measured: str) -> None:
    """Put what was measured into the card on disk."""
    text = path.read_text(encoding="utf-8")
    path.write_text(put_measured(text, measured), encoding="utf-8")
