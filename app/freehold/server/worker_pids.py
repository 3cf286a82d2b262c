"""Which worker processes this server started, so that the next start can end orphans.

Workers end with their parent by themselves; this is for the case that they could not.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
from pathlib import Path

import psutil

from freehold.errors import AppError
from freehold.secrets import write_private

log = logging.getLogger(__name__)


class WorkerPids:
    """The recorded process ids, each with its start time against reuse of the number."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._alive: dict[int, float] = {}

    def add(self, pid: int) -> None:
        """Record a worker that was started."""
        if pid in self._alive:
            return
        with contextlib.suppress(psutil.Error):
            self._alive[pid] = psutil.Process(pid).create_time()
            self._write()

    def remove(self, pid: int | None) -> None:
        """Forget a worker that has ended."""
        if pid is not None and self._alive.pop(pid, None) is not None:
            self._write()

    def reap(self) -> int:
        """Kill workers a former server left behind; return how many there were."""
        try:
            left = {int(pid): float(t) for pid, t in json.loads(self._path.read_text()).items()}
        except (OSError, ValueError, AttributeError):
            return 0
        reaped = 0
        for pid, started in left.items():
            with contextlib.suppress(psutil.Error, OSError):
                process = psutil.Process(pid)
                if abs(process.create_time() - started) > 1 or pid == os.getpid():
                    continue
                if os.getpgid(pid) == pid:
                    os.killpg(pid, signal.SIGKILL)
                else:
                    process.kill()
                reaped += 1
        if reaped:
            log.warning("ended %d engine processes a former server had left", reaped)
        self._write()
        return reaped

    def _write(self) -> None:
        try:
            write_private(self._path, json.dumps(self._alive))
        except AppError as error:
            log.warning("worker list was not written: %s", error.message)
