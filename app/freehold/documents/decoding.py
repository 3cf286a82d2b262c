"""Bytes of unknown encoding as text: byte order marks, UTF-8, then what Russian text looks like."""

from __future__ import annotations

import codecs
from collections import Counter
from typing import Final

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CYRILLIC: Final = ("cp1251", "koi8-r", "cp866")
_COMMON: Final = frozenset("оеаинтсрвл")
SAMPLE_BYTES: Final = 64 * 1024
# Half of the letters of any Russian text are among the ten most common ones.
ENOUGH_COMMON: Final = 0.4


def decode(data: bytes) -> tuple[str, str | None]:
    """Return the text and the name of the encoding when it had to be guessed."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, errors="replace"), None
    try:
        return data.decode("utf-8"), None
    except UnicodeDecodeError:
        encoding = _guess(data)
        return data.decode(encoding, errors="replace"), encoding


def _guess(data: bytes) -> str:
    sample = bytes(byte for byte in data[:SAMPLE_BYTES] if byte >= 0x80)
    if not sample:
        sample = bytes(byte for byte in data if byte >= 0x80)[:SAMPLE_BYTES]
    best, share = "cp1252", 0.0
    for encoding in _CYRILLIC:
        counts = Counter(sample.decode(encoding, errors="replace"))
        common = sum(counts[letter] for letter in _COMMON) / max(1, len(sample))
        if common > max(share, ENOUGH_COMMON):
            best, share = encoding, common
    return best
