"""The models that come with Freehold: which there should be, and whether their files are whole.

`SHA256SUMS` beside them, as `sha256sum` writes it, names each file. One that is not named there is
taken as it is.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Final, Literal

import msgspec

from freehold.errors import AppError
from freehold.library.inspection import Inspected, inspect
from freehold.wire import ModelEntry

SUMS: Final = "SHA256SUMS"
STARTER: Final = "freehold-starter"
EMBEDDER: Final = "all-MiniLM-L6-v2"
NAMES: Final = {STARTER: "The starter model", EMBEDDER: "The model that searches documents"}


def expected_sums(folder: Path) -> dict[str, str]:
    """Return the files that belong in `folder` with their SHA-256; empty without a list."""
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    pairs = (line.split(maxsplit=1) for line in lines if line.strip())
    return {pair[1].lstrip("*"): pair[0].lower() for pair in pairs if len(pair) == 2}


def examine(path: Path) -> Inspected:
    """Read a bundled model as `inspect` does, and compare it with its checksum.

    Blocks; call it in a thread.
    Raises: AppError `not_found` or `invalid_model`, worded for a file the person never chose.
    """
    if not path.exists():
        raise _lost("not_found", path, "is missing")
    try:
        found = inspect(path)
    except AppError as error:
        raise _lost("invalid_model", path, f"is damaged ({error.message.rstrip('.')})") from error
    wanted = expected_sums(path.parent).get(path.name)
    stamp = found.files[0]
    if wanted is not None and _sha256(path, stamp.size_bytes, stamp.modified_ns) != wanted:
        raise _lost("invalid_model", path, "is damaged (its checksum does not match)")
    return found


def find_faults(folder: Path) -> list[AppError]:
    """Return what is wrong with the files that belong in `folder`. Blocks on the disk."""
    faults = []
    for name in sorted(expected_sums(folder)):
        try:
            examine(folder / name)
        except AppError as error:
            faults.append(error)
    return faults


def named(entry: ModelEntry) -> ModelEntry:
    """Return the entry of an unusable bundled model under the name and kind it should have."""
    kind: Literal["chat", "embedding"] = (
        "embedding" if _what(Path(entry.path)) == EMBEDDER else "chat"
    )
    return msgspec.structs.replace(entry, kind=kind)


def _lost(code: str, path: Path, what: str) -> AppError:
    stem = _what(path)
    role = NAMES.get(stem, f"The model {path.stem}")
    if stem == EMBEDDER:
        hint = "Documents are searched by words alone meanwhile. Install Freehold again to mend it."
    else:
        hint = (
            "Import another model with Import a GGUF file…, or find one to download; installing"
            " Freehold again mends this one."
        )
    return AppError(
        code, f"{role}, which comes with Freehold, {what}.", hint, detail={"path": str(path)}
    )


def _what(path: Path) -> str:
    return next((stem for stem in NAMES if path.name.startswith(stem)), "")


@functools.lru_cache(maxsize=8)
def _sha256(path: Path, _size_bytes: int, _modified_ns: int) -> str:
    """Return a file's checksum; asked again only once the file is another."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
