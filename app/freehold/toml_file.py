"""Values a person may change, kept in one TOML file each.

A damaged file never stops the server: it is set aside beside itself and the defaults are used.
"""

from __future__ import annotations

import logging
import threading
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import msgspec
import tomli_w

from freehold.errors import AppError
from freehold.secrets import write_private

log = logging.getLogger(__name__)

T = TypeVar("T", bound=msgspec.Struct)


class TomlFile(Generic[T]):
    """A value as it is now, and the file that keeps it.

    kind: its type, whose defaults are used where there is no file or a damaged one.
    check: raises AppError `invalid_request` for a value that cannot be.
    damaged: what a person is told of a damaged file, with `{reason}` in it.

    Attributes:
        problem: why defaults are used instead of the file, until it is saved again.
    """

    def __init__(self, path: Path, kind: type[T], check: Callable[[T], None], damaged: str) -> None:
        self._path = path
        self._kind = kind
        self._check = check
        self._damaged = damaged
        self._lock = threading.Lock()
        self.problem: AppError | None = None
        self._current = self._read()

    @property
    def current(self) -> T:
        """Return the value in force."""
        return self._current

    def save(self, value: T) -> T:
        """Check and store a value; return it as stored.

        Raises: AppError `invalid_request` naming the field, `no_permission` or `disk_full`.
        """
        self._check(value)
        fields = {k: v for k, v in msgspec.to_builtins(value).items() if v is not None}
        with self._lock:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_private(self._path, tomli_w.dumps(fields))
            self._current = value
            self.problem = None
        return value

    def _read(self) -> T:
        try:
            text = self._path.read_text("utf-8")
        except FileNotFoundError:
            return self._kind()
        except (OSError, UnicodeDecodeError) as error:
            return self._use_defaults(str(error))
        try:
            value = msgspec.convert(tomllib.loads(text), self._kind)
            self._check(value)
        except (tomllib.TOMLDecodeError, msgspec.ValidationError, AppError) as error:
            return self._use_defaults(str(error))
        return value

    def _use_defaults(self, reason: str) -> T:
        kept = self._path.with_name(f"{self._path.name}.damaged-{int(time.time())}")
        try:
            self._path.rename(kept)
        except OSError:
            kept = self._path
        log.warning(
            "%s could not be read, defaults are used; kept as %s", self._path.name, kept.name
        )
        self.problem = AppError(
            "invalid_request",
            self._damaged.format(reason=reason),
            f"Your old file is kept as {kept}.",
            detail={"path": str(kept)},
        )
        return self._kind()
