"""One preparation at a time, also between terminals."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bootstrap.progress import say


@contextmanager
def hold(path: Path, waiting_for: str) -> Iterator[None]:
    """Hold the lock file `path`; the kernel releases it however this process ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"Waiting for {waiting_for} in another terminal …")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
