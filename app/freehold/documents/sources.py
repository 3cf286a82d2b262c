"""Which files a collection's sources hold, and what changed since they were looked at last."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from freehold.documents.collection_records import FoundFile, KnownFile
from freehold.documents.kinds import CODE_ENDINGS, DOCUMENT_ENDINGS
from freehold.documents.limits import MAX_COLLECTION_FILES
from freehold.documents.names import ending

# Folders that hold no documents of a person.
SKIPPED: Final = frozenset({"node_modules", "__pycache__"})


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What sources hold now.

    missing: sources that are not there. other: files of kinds that are not read.
    beyond: files beyond the limit.
    """

    files: tuple[FoundFile, ...]
    missing: tuple[str, ...] = ()
    other: int = 0
    beyond: int = 0


class Difference(msgspec.Struct, frozen=True):
    """What has to be read, and what is gone."""

    changed: tuple[FoundFile, ...]
    gone: tuple[KnownFile, ...]


def look(sources: Sequence[str]) -> Found:
    """Return the files of sources; blocks. Hidden ones and links are left out of folders."""
    found: dict[str, FoundFile] = {}
    missing = []
    other = 0
    for source in sources:
        path = Path(source)
        try:
            status = path.stat()
        except OSError:
            missing.append(source)
            continue
        if stat.S_ISREG(status.st_mode):
            found[source] = FoundFile(source, status.st_size, status.st_mtime_ns)
            continue
        for name, entry in _walk(source):
            if ending(name) not in DOCUMENT_ENDINGS and ending(name) not in CODE_ENDINGS:
                other += 1
            elif entry.path not in found:
                info = entry.stat(follow_symlinks=False)
                found[entry.path] = FoundFile(entry.path, info.st_size, info.st_mtime_ns)
    files = sorted(found.values())
    return Found(
        files=tuple(files[:MAX_COLLECTION_FILES]),
        missing=tuple(missing),
        other=other,
        beyond=max(0, len(files) - MAX_COLLECTION_FILES),
    )


def compare(known: Mapping[str, KnownFile], found: Found) -> Difference:
    """Return what changed by size and time; files below a missing source are not gone."""
    here = {file.path for file in found.files}
    changed = tuple(
        file
        for file in found.files
        if (before := known.get(file.path)) is None
        or (before.size_bytes, before.modified_ns) != (file.size_bytes, file.modified_ns)
    )
    gone = tuple(
        file
        for path, file in known.items()
        if path not in here
        and not any(path == source or path.startswith(f"{source}/") for source in found.missing)
    )
    return Difference(changed, gone)


def say_left_out(found: Found) -> tuple[str, ...]:
    """Return sentences about files that are not indexed."""
    notes = []
    if found.other:
        files = "1 file" if found.other == 1 else f"{found.other:,} files"
        notes.append(f"{files} of other kinds (programs, pictures, archives) are left out.")
    if found.beyond:
        notes.append(
            f"Only the first {MAX_COLLECTION_FILES:,} files are indexed; {found.beyond:,} more are"
            " here. Make another collection of them."
        )
    return tuple(notes)


def fingerprint(path: Path) -> str:
    """Return the SHA-256 of a file's content; blocks. Raises: OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _walk(folder: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    waiting = [folder]
    while waiting:
        try:
            entries = sorted(os.scandir(waiting.pop()), key=lambda entry: entry.name)
        except OSError:
            continue  # a folder that may not be looked into
        for entry in entries:
            if entry.name.startswith(".") or entry.is_symlink():
                continue
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in SKIPPED:
                    waiting.append(entry.path)
            elif entry.is_file(follow_symlinks=False):
                yield entry.name, entry
