"""Names of files as they may be shown: no folders, no characters that turn text around."""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath
from typing import Final

MAX_NAME: Final = 200
# Bidirectional controls: with them "invoice<RLO>fdp.exe" looks like "invoiceexe.pdf".
TURNING: Final = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)


def shown_name(name: str) -> str:
    """Return the last part of a name without control and direction characters, never empty."""
    last = PurePosixPath(name.replace("\\", "/")).name
    kept = "".join(
        c for c in last if c not in TURNING and unicodedata.category(c) not in ("Cc", "Cs")
    ).strip()
    if len(kept) > MAX_NAME:
        ending = PurePosixPath(kept).suffix[:20]
        kept = kept[: MAX_NAME - len(ending) - 1] + "…" + ending
    return kept or "unnamed"


def turns_text(name: str) -> bool:
    """Return whether a name holds characters that change its reading direction."""
    return any(c in TURNING for c in name)


def ending(name: str) -> str:
    """Return the lower-case ending of a name without its dot."""
    return PurePosixPath(name).suffix.lower().removeprefix(".")
