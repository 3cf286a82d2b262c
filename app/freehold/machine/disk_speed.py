"""How fast the disk of a folder is read, past the page cache."""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

BLOCK_BYTES: Final = 8 << 20
MOST_BYTES: Final = 1 << 30
MOST_S: Final = 2.0
LEAST_BYTES: Final = 64 << 20
OWN_BYTES: Final = 128 << 20


def read_disk_speed(folder: Path, should_stop: Callable[[], bool] = lambda: False) -> float | None:
    """Return bytes per second of the disk under `folder`; None where it cannot be measured.

    The largest file there is read, from its middle on; where there is none of some size, one is
    written and removed. Direct reads where the file system has them, else the pages are dropped
    from the cache first.
    """
    with contextlib.ExitStack() as stack:
        path = _largest(folder)
        if path is None:
            path = stack.enter_context(_own_file(folder))
        if path is None:
            return None
        try:
            return _read(path, should_stop)
        except OSError:
            return None


def _largest(folder: Path) -> Path | None:
    found: tuple[int, Path] | None = None
    try:
        for place in folder.rglob("*.gguf"):
            size = place.stat().st_size
            if size >= LEAST_BYTES and (found is None or size > found[0]):
                found = (size, place)
    except OSError:
        return None
    return found[1] if found else None


@contextlib.contextmanager
def _own_file(folder: Path) -> Iterator[Path | None]:
    """Yield a file written for this, on the disk and not only in the cache."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".speed-", suffix=".tmp") as file:
            block = os.urandom(BLOCK_BYTES)
            for _ in range(OWN_BYTES // BLOCK_BYTES):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
            yield Path(file.name)
    except OSError:
        yield None


def _read(path: Path, should_stop: Callable[[], bool]) -> float | None:
    direct = getattr(os, "O_DIRECT", 0)
    try:
        handle = os.open(path, os.O_RDONLY | direct)
    except OSError:  # not every file system has direct reads
        direct = 0
        handle = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(handle).st_size
        start = size // 2 // BLOCK_BYTES * BLOCK_BYTES if size > 2 * MOST_BYTES else 0
        if not direct:
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        block = mmap.mmap(-1, BLOCK_BYTES)  # direct reads need memory that begins at a page
        done, began = 0, time.perf_counter()
        while done < MOST_BYTES and time.perf_counter() - began < MOST_S and not should_stop():
            count = os.preadv(handle, [block], start + done)
            done += count
            if count < BLOCK_BYTES:
                break
        took = time.perf_counter() - began
        block.close()
    finally:
        os.close(handle)
    return done / took if done >= LEAST_BYTES and took > 0 else None
