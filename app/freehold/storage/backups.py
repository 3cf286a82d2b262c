"""Copies of the database: one a day, one before each migration, and going back to one."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import apsw

from freehold.errors import AppError
from freehold.storage.sqlite import describe, is_sound
from freehold.units import format_bytes

log = logging.getLogger(__name__)

DAY_S: Final = 86_400
KEPT_DAILY: Final = 7
KEPT_BEFORE_MIGRATION: Final = 3
LEFT_FREE_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Recovery:
    """What was done about a damaged database file when it was opened."""

    set_aside: Path
    restored_from: Path | None

    def as_error(self) -> AppError:
        """Return it as the notice a person reads."""
        if self.restored_from is None:
            hint = "No backup was found, so Freehold starts with an empty list of chats."
        else:
            made = time.strftime("%Y-%m-%d %H:%M", time.localtime(_made_at(self.restored_from)))
            hint = f"Freehold goes on from the backup of {made}; newer chats are not in it."
        return AppError(
            "storage_failed",
            f"The file with your chats was damaged and is kept as {self.set_aside}.",
            hint,
            detail={
                "set_aside": str(self.set_aside),
                "restored_from": str(self.restored_from) if self.restored_from else None,
            },
        )


def backup_folder(database: Path) -> Path:
    """Return the folder beside the database where its copies are kept."""
    return database.parent / "backups"


def list_backups(database: Path) -> list[Path]:
    """Return all copies, newest first."""
    found = backup_folder(database).glob(f"{database.stem}-*.db")
    return sorted(found, key=_made_at, reverse=True)


def is_due(database: Path, now: float) -> bool:
    """Return whether the last daily copy is a day old, or from the future (the clock moved)."""
    daily = [p for p in list_backups(database) if "-before-" not in p.name]
    return not daily or not 0 <= now - _made_at(daily[0]) < DAY_S


def make_backup(connection: Any, database: Path, *, label: str = "") -> Path:
    """Copy the database into the backups folder, in one piece or not at all; return the copy.

    Raises: AppError `disk_full` or `storage_failed`; the partial copy is removed.
    """
    folder = backup_folder(database)
    folder.mkdir(mode=0o700, exist_ok=True)
    _check_room(database, folder)
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    suffix = f"-before-{label}" if label else ""
    target = folder / f"{database.stem}-{stamp}{suffix}.db"
    partial = target.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    try:
        connection.execute("VACUUM INTO ?", (str(partial),))
        partial.chmod(0o600)
        _sync(partial)
        partial.replace(target)
        _sync(folder)
    except apsw.Error as error:
        raise describe(error, database) from error
    finally:
        partial.unlink(missing_ok=True)
    _forget_old(database)
    return target


def set_aside(database: Path) -> Recovery:
    """Move a damaged database out of the way and put the newest sound backup in its place.

    Raises: AppError `storage_failed` when the file cannot be moved.
    """
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    kept = database.with_name(f"{database.name}.damaged-{stamp}")
    count = 1
    while kept.exists():
        count += 1
        kept = database.with_name(f"{database.name}.damaged-{stamp}-{count}")
    try:
        for ending in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                _beside(database, ending).rename(_beside(kept, ending))
        database.rename(kept)
        source = next((p for p in list_backups(database) if _usable(p)), None)
        if source is not None:
            _copy(source, database)
    except OSError as error:
        raise AppError(
            "storage_failed",
            f"{database} is damaged and could not be set aside ({error.strerror}).",
            "Move it away by hand, then start Freehold again.",
            detail={"path": str(database)},
        ) from error
    recovery = Recovery(kept, source)
    log.error("%s", recovery.as_error().sentence)
    return recovery


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _check_room(database: Path, folder: Path) -> None:
    """Refuse before the copy takes the room that chats need to go on."""
    needed = database.stat().st_size + LEFT_FREE_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise AppError(
            "disk_full",
            f"There is no room for a backup of your chats in {folder}:"
            f" {format_bytes(needed)} are needed, {format_bytes(free)} are free.",
            "Free some space on that disk; your chats themselves are safe.",
            retryable=True,
            detail={"needed_bytes": needed, "free_bytes": free},
        )


def _usable(path: Path) -> bool:
    try:
        return is_sound(path)
    except apsw.Error:
        return False


def _copy(source: Path, database: Path) -> None:
    partial = database.with_suffix(".restoring")
    partial.write_bytes(source.read_bytes())
    partial.chmod(0o600)
    _sync(partial)
    partial.replace(database)
    _sync(database.parent)


def _forget_old(database: Path) -> None:
    copies = list_backups(database)
    daily = [p for p in copies if "-before-" not in p.name]
    before = [p for p in copies if "-before-" in p.name]
    for old in daily[KEPT_DAILY:] + before[KEPT_BEFORE_MIGRATION:]:
        old.unlink(missing_ok=True)


def _made_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
