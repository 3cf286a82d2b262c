"""One server per data folder: an exclusive lock, and the file that says where it listens."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from freehold.errors import AppError
from freehold.paths import Paths
from freehold.secrets import write_private

LOCK_WAIT_S = 0.3


class ServerLock:
    """Holds the data folder while it lives; the system lets go of it if the process dies."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._handle: int | None = None

    def take(self) -> None:
        """Take the lock.

        Raises: AppError `already_running` with the address of the server that has it.
        """
        file = self._paths.lock_file
        try:
            handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise AppError(
                "no_permission",
                f"Freehold cannot open {file} ({error.strerror}).",
                "Give your user write permission on it, or set FREEHOLD_DATA to another folder.",
                detail={"path": str(file)},
            ) from error
        if not _lock(handle):
            os.close(handle)
            raise _already_running(self._paths.address_file)
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        self._handle = handle
        self._paths.address_file.unlink(missing_ok=True)  # left by a server that was killed

    def announce(self, address: Mapping[str, Any]) -> None:
        """Write where the server listens."""
        write_private(self._paths.address_file, json.dumps(dict(address)))

    def release(self) -> None:
        """Remove the address and let go of the folder."""
        if self._handle is None:
            return
        self._paths.address_file.unlink(missing_ok=True)
        os.close(self._handle)
        self._handle = None


def _lock(handle: int) -> bool:
    """Return whether the lock was taken; a client that looks holds it for a moment only."""
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        else:
            return True


def read_address(address_file: Path) -> dict[str, Any] | None:
    """Return what a running server wrote, or None."""
    try:
        address = json.loads(address_file.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return address if isinstance(address, dict) else None


def _already_running(address_file: Path) -> AppError:
    address = read_address(address_file)
    where = f" at http://{address.get('host')}:{address.get('port')}" if address else ""
    return AppError(
        "already_running",
        f"A Freehold server already runs for this data folder{where}.",
        "Use that one, or end it first; another folder can be chosen with FREEHOLD_DATA.",
        detail=dict(address or {}),
    )
