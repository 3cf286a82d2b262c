"""Where chats and models are kept: folders, room, modes, SQLite, the key ring."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

import apsw

from freehold.doctor.check import Check
from freehold.errors import AppError
from freehold.paths import Paths
from freehold.storage.migrations import Schema, check_not_newer
from freehold.storage.sqlite import describe, is_sound, open_connection
from freehold.units import format_bytes

LOW_BYTES = 1_000_000_000
READ_WAIT_S = 5.0
PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600


def check_data_folder(paths: Paths) -> Check:
    """Return whether chats can be stored and how much room there is."""
    existing = paths.data
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        return Check(
            "data_folder",
            False,
            f"{existing} cannot be written",
            "Give your user write permission on it, or set FREEHOLD_DATA to another folder.",
        )
    free = shutil.disk_usage(existing).free
    return rate_room(paths.data, free)


def rate_room(folder: Path, free_bytes: int) -> Check:
    """Return whether there is enough room to go on storing chats."""
    low = free_bytes < LOW_BYTES
    return Check(
        "data_folder",
        not low,
        f"{folder}, {format_bytes(free_bytes)} free",
        "Free some space: chats are stored as they are written." if low else "",
    )


def check_database(path: Path, schemas: Sequence[Schema]) -> Check:
    """Return whether this version can use the chats on this machine; changes nothing."""
    if not path.exists():
        return Check("database", True, "no chats yet", needed=False)
    try:
        connection = open_connection(path, read_only=True, busy_wait_s=READ_WAIT_S)
        try:
            check_not_newer(connection, schemas)
        finally:
            connection.close()
        sound = is_sound(path)
    except AppError as error:
        return Check("database", False, error.message, error.hint)
    except (apsw.NotADBError, apsw.CorruptError):
        sound = False
    except apsw.Error as error:
        told = describe(error, path)
        return Check("database", False, told.message, told.hint)
    hint = "Start Freehold: it sets the file aside and goes on from its newest sound backup."
    detail = str(path) if sound else f"{path} is damaged"
    return Check("database", sound, detail, "" if sound else hint)


def check_modes(paths: Paths) -> Check:
    """Return whether other users of the machine are kept out."""
    folders = (paths.data, paths.state, paths.cache, paths.config, paths.logs)
    database = paths.database
    files = (
        paths.key_file,
        database,
        database.with_name(f"{database.name}-wal"),
        paths.settings_file,
        paths.address_file,
    )
    open_paths = [*_open_to_others(folders), *_open_to_others(files)]
    if not open_paths:
        return Check("file_modes", True, "folders 0700, files 0600 as far as they exist")
    listed = ", ".join(f"{path} ({mode:04o})" for path, mode in open_paths)
    names = " ".join(f"'{path}'" for path, _ in open_paths)
    return Check("file_modes", False, f"open to others: {listed}", f"Run: chmod go-rwx {names}")


def _open_to_others(paths: Iterable[Path]) -> list[tuple[Path, int]]:
    found = []
    for path in paths:
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError:
            continue
        if mode & 0o077:
            found.append((path, mode))
    return found


def check_sqlite(version: str, safe_version: tuple[int, ...]) -> Check:
    """Return whether the SQLite that apsw brings is one that keeps a WAL safe."""
    parts = tuple(int(part) for part in version.split("."))
    least = ".".join(map(str, safe_version))
    return Check(
        "sqlite",
        parts >= safe_version,
        f"SQLite {version} (through apsw)",
        "" if parts >= safe_version else f"Run `make run`: it installs SQLite {least} or newer.",
    )


def check_key_ring() -> Check:
    """Return whether the desktop's key ring can keep secrets of other services."""
    import keyring
    from keyring.errors import KeyringError

    try:
        ring = keyring.get_keyring()
        usable = float(ring.priority) > 0
    except (KeyringError, RuntimeError, ValueError) as error:
        return Check("key_ring", False, str(error), _NO_RING, needed=False)
    name = getattr(ring, "name", type(ring).__name__)
    detail = str(name) if usable else "this session has none"
    return Check("key_ring", usable, detail, "" if usable else _NO_RING, needed=False)


_NO_RING = "Nothing to do: keys are then kept in a file that only you can read."
