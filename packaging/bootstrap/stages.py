"""Steps that are done once and skipped until what they depend on changes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Stage:
    """A step of the preparation.

    fingerprint: text that changes whenever the step must be done again.
    """

    name: str
    fingerprint: str
    do: Callable[[], None]


def pending(stages: Iterable[Stage], folder: Path) -> list[Stage]:
    """Return the stages that must be done, in order."""
    return [stage for stage in stages if _read(folder / stage.name) != stage.fingerprint]


def run(stages: Iterable[Stage], folder: Path) -> None:
    """Do what is pending; each step's stamp is written when it has succeeded."""
    for stage in stages:
        stamp = folder / stage.name
        if _read(stamp) == stage.fingerprint:  # read now: an earlier step may have removed it
            continue
        stamp.unlink(missing_ok=True)
        stage.do()
        folder.mkdir(parents=True, exist_ok=True)
        stamp.write_text(stage.fingerprint)


def digest_files(files: Iterable[Path]) -> str:
    """Return a digest of the files' names and contents."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:20]


def _read(stamp: Path) -> str | None:
    try:
        return stamp.read_text()
    except OSError:
        return None
