"""Where downloaded files lie: names come from strangers and never lead out of the models folder."""

from __future__ import annotations

import errno
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from freehold.errors import AppError
from freehold.gguf.faults import quoted
from freehold.library.download.journal import peek
from freehold.library.variants import RepoFile, is_safe_path
from freehold.units import format_bytes

PART: Final = ".part"
JOURNAL: Final = ".part.journal"
LONGEST_NAME_BYTES: Final = 255 - len(JOURNAL)
_REPOSITORY: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95}", re.ASCII)
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Place:
    """The final name of a file, and what stands there until it is complete."""

    file: RepoFile
    target: Path

    @property
    def part(self) -> Path:
        return self.target.with_name(self.target.name + PART)

    @property
    def journal(self) -> Path:
        return self.target.with_name(self.target.name + JOURNAL)

    def is_complete(self) -> bool:
        """Return whether the file has its final name, which it gets only once verified."""
        try:
            return self.target.stat().st_size == self.file.bytes and not self.target.is_symlink()
        except OSError:
            return False

    def done_bytes(self) -> int:
        """Return how much of the file is on disk."""
        if self.is_complete():
            return self.file.bytes
        known, subject = peek(self.journal)
        if subject is None or (subject.bytes, subject.sha256) != (
            self.file.bytes,
            self.file.sha256 or "",
        ):
            return 0
        return min(sum(what.bytes for what in known.values()), self.file.bytes)


def check_repository(name: str) -> str:
    """Return a repository's name if it is one.

    Raises: AppError `invalid_request`.
    """
    parts = name.split("/")
    if _REPOSITORY.fullmatch(name) and all(is_safe_path(p) and ".." not in p for p in parts):
        return name
    raise AppError(
        "invalid_request",
        f"{quoted(name)} is not the name of a repository.",
        "Give it as OWNER/NAME, as in the address of its page.",
    )


def place_files(models: Path, repository: str, files: tuple[RepoFile, ...]) -> tuple[Place, ...]:
    """Return where the files of a repository go, below `models`.

    Raises: AppError `invalid_request` for a name that is refused.
    """
    folder = models / check_repository(repository)
    places = []
    for file in files:
        if not is_safe_path(file.path) or len(Path(file.path).name.encode()) > LONGEST_NAME_BYTES:
            raise _refused(file.path)
        if file.sha256 is not None and not _SHA256.fullmatch(file.sha256):
            raise _refused(file.path)
        target = folder / file.path
        if not Path(os.path.normpath(target)).is_relative_to(folder):
            raise _refused(file.path)
        places.append(Place(file, target))
    return tuple(places)


def make_folder(models: Path, place: Place) -> None:
    """Make the folder a file goes to; a link inside it that leads elsewhere is refused.

    Raises: AppError `no_permission`, `disk_full` or `not_found`.
    """
    try:
        place.target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        real = Path(os.path.realpath(place.target.parent))
        if not real.is_relative_to(os.path.realpath(models)):
            raise _refused(place.file.path)
    except OSError as error:
        raise disk_error(error, place.target) from error


def check_room(folder: Path, needed_bytes: int, alternatives: str) -> None:
    """Raise AppError `disk_full` when there is too little room for a download.

    alternatives: the names of smaller variants, "" without any.
    """
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        free = shutil.disk_usage(place).free
    except OSError as error:
        raise disk_error(error, folder) from error
    if free < needed_bytes:
        raise AppError(
            "disk_full",
            f"There is not enough room in {folder}: {format_bytes(needed_bytes)} are needed"
            f" (a tenth to spare), {format_bytes(free)} are free.",
            f"Free some space, or choose a smaller variant{_list(alternatives)}.",
            detail={"free_bytes": free, "needed_bytes": needed_bytes},
        )


def remove_parts(places: tuple[Place, ...]) -> None:
    """Delete what came of files that are not complete, and folders that are empty then."""
    for place in places:
        place.part.unlink(missing_ok=True)
        place.journal.unlink(missing_ok=True)
        for folder in (place.target.parent, place.target.parent.parent):
            try:
                folder.rmdir()
            except OSError:
                break


def disk_error(error: OSError, path: Path) -> AppError:
    """Return what a failed write means for a person."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return AppError(
            "disk_full",
            f"The disk is full: {path.name} could not be written further.",
            "Free some space and resume; what is there already is kept.",
            detail={"path": str(path)},
        )
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EIO, errno.ENODEV, errno.ENXIO):
        return AppError(
            "not_found",
            f"The folder {path.parent} is gone.",
            "If its disk was unplugged, connect it and resume.",
            detail={"path": str(path)},
        )
    return AppError(
        "no_permission",
        f"{path} cannot be written ({error.strerror}).",
        "Give your user write permission on its folder, then resume.",
        detail={"path": str(path)},
    )


def _list(alternatives: str) -> str:
    return f": {alternatives}" if alternatives else ""


def _refused(name: str) -> AppError:
    return AppError(
        "invalid_request",
        f"The repository has a file whose name is not safe: {quoted(name)}.",
        "Choose another repository; this one may be meant to do harm.",
    )
