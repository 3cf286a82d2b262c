"""Where a GGUF's bytes come from: a file here, or ranges read over HTTP.

`Source` is all the reader asks for, so a header can be read before the model is downloaded.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from freehold.errors import AppError
from freehold.gguf.faults import InvalidGgufError

FIRST_WINDOW_BYTES: Final = 64 * 1024
LARGEST_WINDOW_BYTES: Final = 4 * 1024 * 1024


class Source(Protocol):
    """Bytes that can be read at any place."""

    @property
    def name(self) -> str:
        """Return the name shown in messages."""
        ...

    @property
    def size_bytes(self) -> int:
        """Return the whole file's size."""
        ...

    def read(self, offset: int, count: int) -> bytes:
        """Return `count` bytes at `offset`, fewer only at the end of the file."""
        ...


class FileSource:
    """An open file on this machine."""

    def __init__(self, path: Path, descriptor: int, size_bytes: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._size_bytes = size_bytes

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def size_bytes(self) -> int:
        return self._size_bytes

    def read(self, offset: int, count: int) -> bytes:
        """Return `count` bytes at `offset`, fewer only at the end of the file."""
        try:
            return os.pread(self._descriptor, count, offset)
        except OSError as error:
            raise InvalidGgufError(
                self.name,
                f"it cannot be read from the disk ({error.strerror})",
                "Check the disk, or choose a copy on another one.",
            ) from error


@contextmanager
def open_file(path: Path) -> Iterator[FileSource]:
    """Open a regular file for reading; anything else is refused without waiting for it.

    Raises: AppError `not_found`, `no_permission` or `invalid_model`.
    """
    try:
        # O_NONBLOCK: opening a FIFO must not wait for somebody to write into it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _cannot_open(path, error) from error
    except ValueError as error:  # a NUL in the path
        raise AppError(
            "not_found", "A file name cannot hold a NUL character.", "Check the path."
        ) from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise InvalidGgufError(
                path.name or str(path),
                f"it is {_kind(status.st_mode)}, not a file",
                "Choose a file that ends in .gguf.",
            )
        yield FileSource(path, descriptor, status.st_size)
    finally:
        os.close(descriptor)


def _cannot_open(path: Path, error: OSError) -> AppError:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return AppError(
            "not_found",
            f"There is no file at {path}.",
            "Check the path; if its disk is unplugged, connect it.",
            detail={"path": str(path)},
        )
    if isinstance(error, PermissionError):
        return AppError(
            "no_permission",
            f"{path} may not be read by this user.",
            "Give your user read permission on the file and its folders.",
            detail={"path": str(path)},
        )
    return InvalidGgufError(
        path.name or str(path),
        f"it cannot be opened ({error.strerror})",
        "Choose a file that ends in .gguf.",
    )


def _kind(mode: int) -> str:
    kinds = (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    )
    return next((word for test, word in kinds if test(mode)), "something else")


class Cursor:
    """Reads a source from front to back through a growing window.

    No read goes beyond the file's size, whatever a damaged file claims.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._start = 0
        self._window = b""
        self._next_bytes = FIRST_WINDOW_BYTES
        self.offset = 0

    @property
    def remaining_bytes(self) -> int:
        return self._source.size_bytes - self.offset

    def take(self, count: int, what: str) -> bytes:
        """Return the next `count` bytes; `what` is named if the file ends before."""
        self.require(count, what)
        at = self.offset - self._start
        if at < 0 or at + count > len(self._window):
            self._fill(count, what)
            at = 0
        self.offset += count
        return self._window[at : at + count]

    def window(self, least: int, what: str) -> tuple[bytes, int]:
        """Return the bytes at hand and the place in them, at least `least` from there."""
        self.require(least, what)
        at = self.offset - self._start
        if at < 0 or at + least > len(self._window):
            self._fill(least, what)
            at = 0
        return self._window, at

    def skip(self, count: int, what: str) -> None:
        """Go `count` bytes on without reading them."""
        self.require(count, what)
        self.offset += count

    def require(self, count: int, what: str) -> None:
        """Raise unless `count` more bytes are there."""
        if count > self.remaining_bytes:
            raise InvalidGgufError(
                self._source.name, f"the file ends in the middle of {what}; it is incomplete"
            )

    def _fill(self, count: int, what: str) -> None:
        wanted = min(max(count, self._next_bytes), self.remaining_bytes)
        self._next_bytes = min(self._next_bytes * 2, LARGEST_WINDOW_BYTES)
        self._window = self._source.read(self.offset, wanted)
        self._start = self.offset
        if len(self._window) < count:
            raise InvalidGgufError(
                self._source.name, f"the file became shorter while {what} was being read"
            )
