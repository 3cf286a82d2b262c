"""Opening SQLite files the one way Freehold does, and naming what went wrong with them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Final

import apsw

from freehold.errors import AppError

Connection = apsw.Connection

# Below this much free room an I/O error is reported as a full disk.
FULL_BELOW_BYTES: Final = 1 << 20
# Connections are written by one process; SQLite before this version could reset a WAL in use.
SAFE_VERSION: Final = (3, 51, 3)

# Wrong SQL or wrong values: our bug, not the disk's.
BUGS: Final = (
    apsw.SQLError,
    apsw.BindingsError,
    apsw.ConstraintError,
    apsw.MismatchError,
    apsw.MisuseError,
    apsw.RangeError,
)


def open_connection(path: Path, *, read_only: bool = False, busy_wait_s: float = 60.0) -> Any:
    """Open a connection in WAL mode, with foreign keys on and without memory mapping.

    Raises: apsw.Error, to be passed through `describe`.
    """
    flags = (
        apsw.SQLITE_OPEN_READONLY
        if read_only
        else apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    )
    connection = apsw.Connection(str(path), flags=flags)
    try:
        connection.set_busy_timeout(round(busy_wait_s * 1000))
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        if not read_only:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA journal_size_limit = 67108864")
    except BaseException:
        connection.close()
        raise
    return connection


def is_sound(path: Path) -> bool:
    """Return whether the file is a SQLite database that passes its own quick check."""
    try:
        connection = open_connection(path, read_only=True, busy_wait_s=5)
    except (apsw.NotADBError, apsw.CorruptError):
        return False
    try:
        return bool(connection.execute("PRAGMA quick_check(1)").fetchall() == [("ok",)])
    except (apsw.NotADBError, apsw.CorruptError):
        return False
    finally:
        connection.close()


def describe(error: Exception, path: Path) -> AppError:
    """Return what an error of SQLite means for the person, with the next step.

    Text that is not UTF-8 (`UnicodeDecodeError`) is damage that SQLite itself does not see.
    """
    detail = {"path": str(path), "sqlite": f"{type(error).__name__}: {error}"}
    if isinstance(error, apsw.FullError) or (
        isinstance(error, apsw.IOError) and _free_bytes(path) < FULL_BELOW_BYTES
    ):
        return AppError(
            "disk_full",
            f"There is no room left on the disk that holds {path.parent}.",
            "Free some space there; what is already stored can still be read.",
            retryable=True,
            detail=detail,
        )
    if isinstance(error, (apsw.BusyError, apsw.LockedError)):
        return AppError(
            "storage_failed",
            f"Another program has locked {path.name} for too long.",
            "Close the program that has the file open, then try again.",
            retryable=True,
            detail=detail,
        )
    if isinstance(error, (apsw.ReadOnlyError, apsw.PermissionsError)):
        return AppError(
            "storage_failed",
            f"{path} cannot be written: the file or its disk is read-only.",
            "Give your user write permission on it; what is stored can still be read.",
            detail=detail,
        )
    if isinstance(error, apsw.CantOpenError):
        return AppError(
            "no_permission",
            f"{path} cannot be opened.",
            "Give your user read and write permission on it and on its folder.",
            detail=detail,
        )
    if isinstance(error, (apsw.CorruptError, apsw.NotADBError, UnicodeDecodeError)):
        return AppError(
            "storage_failed",
            f"{path} is damaged.",
            "Restart Freehold: it sets the file aside and goes on from the newest backup.",
            detail=detail,
        )
    return AppError(
        "storage_failed",
        f"{path} could not be read or written ({error}).",
        "Check the disk; what is stored stays as it was.",
        retryable=isinstance(error, apsw.IOError),
        detail=detail,
    )


def _free_bytes(path: Path) -> int:
    try:
        return shutil.disk_usage(path.parent).free
    except OSError:
        return FULL_BELOW_BYTES
