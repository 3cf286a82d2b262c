"""The names models go by: short, stable, without spaces, unique in the library."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import count
from typing import Final

from freehold.gguf.quantisations import find_in_name
from freehold.gguf.shards import parse_name

LONGEST: Final = 96
# Names that converters write when nobody told them one.
_MEANINGLESS: Final = re.compile(
    r"(sha256[-:]?[0-9a-f]*|[0-9a-f]{16,}|(ggml-)?model|models?|workspace|hub|tmp|output|merged"
    r"|gguf|[\d._-]*|.{0,2})",
    re.IGNORECASE,
)


def title(file_name: str, declared: str) -> str:
    """Return the name shown to people: the declared one, or the file's where that says nothing."""
    declared = " ".join(declared.split())
    if declared and not _MEANINGLESS.fullmatch(declared):
        return _printable(declared)[:LONGEST]
    return _printable(stem(file_name))[:LONGEST] or "model"


def stem(file_name: str) -> str:
    """Return a file's name without shard numbers, quantisation and ending."""
    shard = parse_name(file_name)
    name = shard.stem if shard else re.sub(r"\.gguf$", "", file_name, flags=re.IGNORECASE)
    quant = find_in_name(name)
    if quant:
        place = name.upper().rfind(quant.upper())
        if place > 0 and place + len(quant) == len(name):
            name = name[:place].rstrip("-._ ")
    return name


def propose(file_name: str, declared: str, quant: str) -> str:
    """Return a name for a model: what it is called, a colon, its quantisation."""
    base = stem(file_name)
    if _MEANINGLESS.fullmatch(base) and declared.strip():
        base = declared
    slug = re.sub(r"[^A-Za-z0-9._+-]+", "-", base).strip("-._") or "model"
    return f"{slug[:LONGEST]}:{quant}" if quant else slug[:LONGEST]


def make_unique(ref: str, is_taken: Callable[[str], bool]) -> str:
    """Return `ref`, or it with a number before the quantisation where it is taken."""
    if not is_taken(ref):
        return ref
    base, colon, quant = ref.partition(":")
    return next(
        name
        for number in count(2)
        if not is_taken(name := f"{base}-{number}{colon}{quant}")
    )  # fmt: skip


def _printable(text: str) -> str:
    return "".join(char for char in text if char.isprintable())
