"""The key of this installation: 256 random bits in a file only its user can read."""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from freehold.errors import AppError

PREFIX = "fh-"


@dataclass(frozen=True, slots=True)
class LocalKey:
    """The key every program on this machine needs to talk to the server."""

    value: str = field(repr=False)

    def matches(self, candidate: str) -> bool:
        """Return whether `candidate` is the key, in time that does not depend on it."""
        return hmac.compare_digest(candidate.encode(), self.value.encode())

    def prove(self, challenge: str) -> str:
        """Return what only a holder of the key can answer to `challenge`."""
        return hmac.new(self.value.encode(), challenge.encode(), sha256).hexdigest()


def read_key(key_file: Path, environment: Mapping[str, str] = os.environ) -> LocalKey | None:
    """Return the key if there is one: `FREEHOLD_KEY`, else the file's.

    Raises: AppError `no_permission` when the file cannot be read.
    """
    preset = environment.get("FREEHOLD_KEY", "").strip()
    if preset:
        return LocalKey(preset)
    try:
        value = key_file.read_text("utf-8").strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(key_file) from error
    return LocalKey(value) if value else None


def ensure_key(key_file: Path, environment: Mapping[str, str] = os.environ) -> LocalKey:
    """Return the key, making one at the first start; the file is 0600 whatever it was before."""
    key = read_key(key_file, environment)
    if key is None or (environment.get("FREEHOLD_KEY", "").strip() and not _holds(key_file, key)):
        key = key or LocalKey(PREFIX + secrets.token_hex(32))
        write_private(key_file, key.value + "\n")
    try:
        key_file.chmod(0o600)
    except OSError as error:
        raise _unreadable(key_file) from error
    return key


def _holds(key_file: Path, key: LocalKey) -> bool:
    try:
        return key_file.read_text("utf-8").strip() == key.value
    except (OSError, UnicodeDecodeError):
        return False


def write_private(path: Path, text: str) -> None:
    """Write `text` so that no other user can read it at any moment, in one step.

    Raises: AppError `no_permission` or `disk_full`.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.unlink(missing_ok=True)
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise _unwritable(path, error) from error


def _unreadable(path: Path) -> AppError:
    return AppError(
        "no_permission",
        f"Freehold cannot read {path}.",
        "Make the file yours (chmod 600) or delete it: a new key is made at the next start.",
        detail={"path": str(path)},
    )


def _unwritable(path: Path, error: OSError) -> AppError:
    if error.errno in (28, 122):  # ENOSPC, EDQUOT
        return AppError(
            "disk_full",
            f"There is no room left to write {path}.",
            "Free some space on that disk and try again.",
            detail={"path": str(path)},
        )
    return AppError(
        "no_permission",
        f"Freehold cannot write {path}.",
        "Give your user write permission on its folder, or set FREEHOLD_DATA to another one.",
        detail={"path": str(path)},
    )
