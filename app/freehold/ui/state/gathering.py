"""What was dropped, pasted or chosen, as files to attach: folders opened, models set aside."""

from __future__ import annotations

import asyncio
import os
import unicodedata
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MAX_FILES: Final = 200
MAX_FILE_BYTES: Final = 500 << 20
LONG_TEXT: Final = 6_000  # a longer text that is pasted becomes an attachment
CHUNK_BYTES: Final = 1 << 20
MOST_SEEN: Final = 100_000  # entries of dropped folders that are looked at
MODEL_ENDING: Final = ".gguf"
NOT_TEXT: Final = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@dataclass(frozen=True, slots=True)
class Gathered:
    """Files to attach and models to import, in order; notes say what was left out.

    sizes: bytes of each file, 0 where it cannot be seen.
    """

    files: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()
    models: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def gather(paths: Sequence[str], room: int = MAX_FILES) -> Gathered:
    """Return what dropped paths hold, at most `room` files; blocks on the disk.

    Folders are opened, hidden files and links in them left out. What a person names itself is
    taken as it is: that it cannot be read is said on its own chip.
    """
    files: list[str] = []
    models: list[str] = []
    notes: list[str] = []
    over = 0
    for path in paths:
        folder = Path(path)
        found = list(_inside(folder)) if folder.is_dir() else [path]
        if not found:
            notes.append(f"There are no files in the folder {isolated(folder.name)}.")
        for name in found:
            if name.lower().endswith(MODEL_ENDING):
                models.append(name)
            elif len(files) < room:
                files.append(name)
            else:
                over += 1
    if over:
        left = f"{over:,} more files were" if over > 1 else "1 more file was"
        notes.append(
            f"{left} not added: a chat holds {MAX_FILES} documents. Make a collection of a large"
            " folder on the Documents page and attach that."
        )
    unique = tuple(dict.fromkeys(files))
    sizes = tuple(_size(path) for path in unique)
    return Gathered(unique, sizes, tuple(models), tuple(notes))


def shown_name(name: str) -> str:
    """Return a file's name without folders and without characters that turn text around."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    kept = "".join(
        c for c in last if c not in NOT_TEXT and unicodedata.category(c) not in ("Cc", "Cs")
    )
    return kept.strip() or "unnamed"


def isolated(name: str) -> str:
    """Return a name that leaves the direction of the words around it alone."""
    return f"\u2068{shown_name(name)}\u2069"


def is_model(path: str) -> bool:
    """Return whether a path is a model's, which belongs to the library."""
    return path.lower().endswith(MODEL_ENDING)


def pasted_name(text: str, number: int) -> str:
    """Return what a pasted text is called: its first words."""
    first = next((line.strip("#*->|` \t") for line in text.splitlines() if line.strip()), "")
    words = shown_name(" ".join(first.split())[:40].replace("/", " ").replace("\\", " "))
    if words == "unnamed" or not any(c.isalnum() for c in words):
        return f"Pasted text {number}.md"
    return f"{words}.md"


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0


def _inside(folder: Path) -> Iterator[str]:
    seen = 0
    for place, folders, names in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            seen += 1
            if seen > MOST_SEEN:
                return
            path = Path(place, name)
            if not name.startswith(".") and not path.is_symlink() and path.is_file():
                yield str(path)


async def file_pieces(path: str) -> AsyncIterator[bytes]:
    """Yield a file's bytes, for a server that cannot read it itself."""
    file = await asyncio.to_thread(Path(path).open, "rb")
    try:
        while piece := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield piece
    finally:
        file.close()
