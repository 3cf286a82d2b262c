"""Look at a model's files on disk and say what they hold, before llama.cpp sees them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from freehold.errors import AppError
from freehold.gguf.description import ModelFacts, check_architecture, describe
from freehold.gguf.plausibility import check_vocabulary
from freehold.gguf.shards import parse_name, read_model
from freehold.gguf.source import open_file
from freehold.library import naming
from freehold.library.schema import FileStamp, StoredModel
from freehold.wire import ErrorInfo, ModelEntry

# Raised when the reader learns something new, so that remembered models are read again.
READER: Final = 1


@dataclass(frozen=True, slots=True)
class Inspected:
    """A model's files and what they hold."""

    path: Path
    real_path: str
    files: tuple[FileStamp, ...]
    facts: ModelFacts


def inspect(path: Path) -> Inspected:
    """Read the headers of the model at `path`, which may be any file of a shard set.

    Blocks; call it in a thread.
    Raises: AppError `not_found`, `no_permission`, `invalid_model` or `unsupported_architecture`.
    """
    model = read_model(path)
    facts = describe(model)
    problem = check_architecture(facts.architecture)
    if problem is not None:
        raise problem
    with open_file(model.paths[0]) as source:
        check_vocabulary(source, model.header)
    return Inspected(
        path=model.paths[0],
        real_path=real_path(model.paths[0]),
        files=tuple(stamp(part) for part in model.paths),
        facts=facts,
    )


def stamp(path: Path) -> FileStamp:
    """Return a file's size and time of change.

    Raises: AppError `not_found` if it is gone.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise AppError(
            "not_found",
            f"There is no file at {path}.",
            "Check the path; if its disk is unplugged, connect it.",
            detail={"path": str(path)},
        ) from error
    return FileStamp(str(path), status.st_size, status.st_mtime_ns)


def real_path(path: Path) -> str:
    """Return the path without links, as far as it exists."""
    return os.path.realpath(path)


def make_entry(found: Inspected, *, ref: str, origin: str, added_at: float) -> ModelEntry:
    """Return the library's entry for a model that was read."""
    facts = found.facts
    return ModelEntry(
        ref=ref,
        name=naming.title(found.path.name, facts.name),
        arch=facts.architecture,
        bytes=facts.file_bytes,
        path=str(found.path),
        origin=origin,
        ready=True,
        quant=facts.quant,
        parameters=facts.parameters,
        active_parameters=facts.active_parameters,
        bits_per_weight=round(facts.bits_per_weight, 3),
        context_tokens=facts.context_tokens,
        experts=facts.experts,
        experts_used=facts.experts_used,
        shards=len(found.files),
        kind=facts.kind,
        added_at=added_at,
    )


def failed_entry(
    path: Path, problem: AppError, *, ref: str, origin: str, added_at: float
) -> ModelEntry:
    """Return the entry for a file that was found but cannot be used."""
    return ModelEntry(
        ref=ref,
        name=naming.title(path.name, ""),
        arch="",
        bytes=0,
        path=str(path),
        origin=origin,
        ready=False,
        added_at=added_at,
        problem=to_info(problem),
    )


def is_unchanged(model: StoredModel) -> bool:
    """Return whether every file is still as it was when it was read."""
    if model.reader != READER:
        return False
    try:
        return all(stamp(Path(file.path)) == file for file in model.files)
    except AppError:
        return False


def first_file(path: Path) -> Path:
    """Return the first file of the set `path` belongs to, whether or not it is there."""
    shard = parse_name(path.name)
    return path.with_name(shard.sibling(1)) if shard else path


def to_info(error: AppError) -> ErrorInfo:
    """Return an error as the API carries it."""
    return ErrorInfo(
        code=error.code,
        message=error.message,
        hint=error.hint,
        retryable=error.retryable,
        detail=error.detail,
    )
