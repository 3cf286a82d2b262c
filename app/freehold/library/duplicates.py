"""Find models that are here more than once, by the SHA-256 of their files.

Only models of the same size are looked at. A checksum is taken from where it is known (the hub's
listing, the names of Hugging Face's and Ollama's files) and read from the disk where it is not.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from freehold.errors import AppError
from freehold.gguf.shards import part_paths
from freehold.wire import ModelEntry
from freehold.wire_files import DuplicateGroup, ModelCopy

READ_BYTES: Final = 4 << 20
_NAMED: Final = re.compile(r"(?:sha256-)?([0-9a-f]{64})")

FileKey = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Copy:
    """A model's files on disk; key: device, inode, size and time of change of each."""

    entry: ModelEntry
    paths: tuple[Path, ...]
    keys: tuple[FileKey, ...]


def candidates(entries: Sequence[ModelEntry]) -> tuple[tuple[Copy, ...], ...]:
    """Return models of the same sizes, file by file, in groups of two and more. Blocks."""
    groups: dict[tuple[int, ...], list[Copy]] = {}
    for entry in entries:
        if not entry.ready:
            continue
        try:
            paths = part_paths(Path(entry.path))
            keys = tuple(_key(path) for path in paths)
        except (AppError, OSError):
            continue
        groups.setdefault(tuple(key[2] for key in keys), []).append(Copy(entry, paths, keys))
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def known_sum(path: Path) -> str:
    """Return the checksum that a file's own name tells, "" where it tells none."""
    match = _NAMED.fullmatch(Path(os.path.realpath(path)).name)
    return match[1] if match else ""


def read_sum(path: Path, check: Callable[[int], None]) -> str:
    """Return a file's SHA-256; `check` hears how many bytes were read and may raise.

    Raises: OSError.
    """
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while piece := file.read(READ_BYTES):
            digest.update(piece)
            check(len(piece))
    return digest.hexdigest()


def group(copies: Sequence[Copy], sums: Mapping[FileKey, str]) -> tuple[DuplicateGroup, ...]:
    """Return the copies that are the same, as far as their checksums are known."""
    same: dict[tuple[str, ...], list[Copy]] = {}
    for copy in copies:
        known = tuple(sums.get(key, "") for key in copy.keys)
        if all(known):
            same.setdefault(known, []).append(copy)
    return tuple(_describe(found) for found in same.values() if len(found) > 1)


def _describe(copies: Sequence[Copy]) -> DuplicateGroup:
    places = [{key[:2] for key in copy.keys} for copy in copies]
    rows = []
    for number, copy in enumerate(copies):
        others = set().union(*(place for at, place in enumerate(places) if at != number))
        # A hard or symbolic link to another copy takes no room of its own.
        frees = sum(key[2] for key in copy.keys if key[:2] not in others)
        rows.append(
            ModelCopy(
                ref=copy.entry.ref, path=copy.entry.path, origin=copy.entry.origin, frees=frees
            )
        )
    return DuplicateGroup(bytes=copies[0].entry.bytes, copies=tuple(rows))


def _key(path: Path) -> FileKey:
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
