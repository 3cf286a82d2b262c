"""Where results are made: in a hidden folder, which gets its name once all in it is whole."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import Final

from freehold.errors import AppError
from freehold.units import format_bytes

FOLDER: Final = "made-here"
UNFINISHED: Final = ".unfinished-"
SPARE: Final = 1.02
SPARE_BYTES: Final = 64 << 20


class Workplace:
    """The folder of one result, `made-here/NAME`, and the hidden one it is made in."""

    def __init__(self, models: Path, name: str) -> None:
        self.folder = models / FOLDER / name
        self.hidden = models / FOLDER / f"{UNFINISHED}{name}"
        self.name = name

    def open(self) -> None:
        """Make the hidden folder, empty.

        Raises: AppError `conflict` if there is a result of this name already.
        """
        if self.folder.exists():
            raise AppError(
                "conflict",
                f"There is a model called {self.name} already.",
                "Give the result another name, or delete the old one.",
                detail={"path": str(self.folder)},
            )
        self.hidden.mkdir(parents=True, mode=0o700)

    def written_bytes(self) -> int:
        """Return how much has been written so far."""
        total = 0
        with contextlib.suppress(OSError):
            for entry in os.scandir(self.hidden):
                total += entry.stat().st_size
        return total

    def finish(self) -> Path:
        """Give the folder its name, after all of it is on the disk; return its first file.

        Raises: OSError; AppError `invalid_model` when nothing was written.
        """
        files = sorted(self.hidden.glob("*.gguf"))
        if not files:
            raise AppError("invalid_model", "Nothing was written.", "Look into the log.")
        for path in (*files, self.hidden):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        self.hidden.rename(self.folder)
        return self.folder / files[0].name

    def forget(self) -> None:
        """Delete a result that nobody wants any more."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def clear(self) -> None:
        """Delete what was not finished."""
        shutil.rmtree(self.hidden, ignore_errors=True)


def free_bytes(models: Path) -> int:
    """Return the room where results are made."""
    return shutil.disk_usage(models).free


def room_problem(wanted: int, free: int) -> str:
    """Return why there is no room for a result, "" when there is."""
    needed = int(wanted * SPARE) + SPARE_BYTES
    if needed <= free:
        return ""
    return f"The disk has {format_bytes(free)} free; {format_bytes(needed)} are needed."


def clear_unfinished(models: Path) -> None:
    """Delete what a server that ended has left unfinished."""
    for path in (models / FOLDER).glob(f"{UNFINISHED}*"):
        shutil.rmtree(path, ignore_errors=True)
