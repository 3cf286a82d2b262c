"""What of a file has arrived, kept on disk beside it so that nothing is fetched twice.

One line of JSON says which file it is; each further line says how much of a chunk is there and
its checksum, synced before it counts; the last line of a chunk holds. A torn last line is
dropped. The lock keeps a second process out.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from freehold.errors import AppError

VERSION: Final = 1
_LINE: Final = re.compile(rb"(\d{1,9}) ([0-9a-f]{8}) (\d{1,12})")


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """The file a journal is about; another size, hash or chunk size makes it worthless."""

    version: int = VERSION
    bytes: int
    sha256: str
    chunk_bytes: int


class Arrived(NamedTuple):
    """How many bytes of a chunk, from its start, are on disk, and their CRC-32."""

    checksum: int
    bytes: int


class Journal:
    """The chunks of one file as far as they are on disk, with the checksum of what arrived."""

    def __init__(self, path: Path, subject: Subject, descriptor: int) -> None:
        self.path = path
        self.subject = subject
        self._descriptor = descriptor
        self.arrived: dict[int, Arrived] = {}

    @classmethod
    def open(cls, path: Path, subject: Subject) -> Journal:
        """Open or begin the journal; what it knows of another file is forgotten.

        Raises: AppError `conflict` while another process downloads the same file; OSError.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise
                raise AppError(
                    "conflict",
                    f"{path.name.removesuffix('.part.journal')} is being downloaded by another"
                    " process.",
                    "Wait until it is done, or stop the other one.",
                ) from error
            journal = cls(path, subject, descriptor)
            journal._load()
        except BaseException:
            os.close(descriptor)
            raise
        return journal

    def add(self, index: int, arrived: Arrived) -> None:
        """Note what of a chunk is on disk; it counts once this returns."""
        os.write(self._descriptor, b"%d %08x %d\n" % (index, *arrived))
        os.fsync(self._descriptor)
        self.arrived[index] = arrived

    def forget(self, indexes: set[int]) -> None:
        """Take back chunks that turned out to be bad."""
        for index in indexes:
            self.arrived.pop(index, None)
        self._write_anew()

    def close(self) -> None:
        """Let go of the lock."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def delete(self) -> None:
        """Remove the journal of a file that is complete."""
        self.path.unlink(missing_ok=True)
        self.close()

    def _load(self) -> None:
        known, subject, length = parse(_read_all(self._descriptor))
        if subject == self.subject:
            self.arrived = known
            os.ftruncate(self._descriptor, length)
            os.lseek(self._descriptor, length, os.SEEK_SET)
        else:
            self._write_anew()

    def _write_anew(self) -> None:
        # In place: the lock belongs to this file. A cut in between loses lines, never truth.
        lines = [msgspec.json.encode(self.subject)]
        lines += [b"%d %08x %d" % (index, *what) for index, what in sorted(self.arrived.items())]
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.write(self._descriptor, b"\n".join(lines) + b"\n")
        os.fsync(self._descriptor)


def parse(data: bytes) -> tuple[dict[int, Arrived], Subject | None, int]:
    """Return the chunks, the file they are of, and how many bytes of `data` are whole lines."""
    head, newline, rest = data.partition(b"\n")
    try:
        subject = msgspec.json.decode(head, type=Subject)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}, None, 0
    if not newline:
        return {}, None, 0
    known: dict[int, Arrived] = {}
    length = len(head) + 1
    for line in rest.split(b"\n")[:-1]:
        match = _LINE.fullmatch(line)
        if match is None:
            break
        known[int(match[1])] = Arrived(int(match[2], 16), int(match[3]))
        length += len(line) + 1
    return known, subject, length


def peek(path: Path) -> tuple[dict[int, Arrived], Subject | None]:
    """Return what a journal on disk says, without taking it; nothing when there is none."""
    try:
        data = path.read_bytes()
    except OSError:
        return {}, None
    known, subject, _ = parse(data)
    return known, subject


def _read_all(descriptor: int) -> bytes:
    pieces = []
    os.lseek(descriptor, 0, os.SEEK_SET)
    while piece := os.read(descriptor, 1 << 20):
        pieces.append(piece)
    return b"".join(pieces)
