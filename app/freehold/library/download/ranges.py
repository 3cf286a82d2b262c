"""Which bytes of which file are still to be fetched, in what order, and how long it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

CHUNK_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes `start` up to (without) `end` of a file."""

    index: int
    start: int
    end: int

    @property
    def bytes(self) -> int:
        return self.end - self.start


def chunk_count(file_bytes: int, chunk_bytes: int) -> int:
    """Return how many chunks a file is fetched in; an empty file has none."""
    return -(-file_bytes // chunk_bytes)


def chunk_at(index: int, file_bytes: int, chunk_bytes: int) -> Chunk:
    """Return a chunk of a file; the last one is what is left.

    Raises: ValueError for one that the file does not have.
    """
    if not 0 <= index < chunk_count(file_bytes, chunk_bytes):
        raise ValueError(f"a file of {file_bytes} bytes has no chunk {index}")
    start = index * chunk_bytes
    return Chunk(index, start, min(start + chunk_bytes, file_bytes))


def room_needed(remaining_bytes: int) -> int:
    """Return the free space asked for before a download: what is missing and a tenth."""
    return remaining_bytes + remaining_bytes // 10


def eta_s(remaining_bytes: int, bytes_per_s: float) -> float | None:
    """Return the seconds that are left at this speed, None while there is none."""
    return remaining_bytes / bytes_per_s if bytes_per_s > 0 else None
