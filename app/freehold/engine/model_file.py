"""A look at a model file before llama.cpp opens it, from the server's side."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Final

from freehold.errors import AppError

_MAGIC: Final = b"GGUF"
_SHARD: Final = re.compile(r"^(.*)-(\d{5})-of-(\d{5})\.gguf$")


def check_file(path: Path) -> None:
    """Refuse what cannot be a model; never blocks, also not on a FIFO.

    Raises: AppError `invalid_model`.
    """
    hint = "Choose a GGUF file."
    try:
        # O_NONBLOCK: opening a FIFO for reading would wait for a writer for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        reason = (error.strerror or "it cannot be read").lower()
        raise AppError(
            "invalid_model",
            f"{path.name} cannot be opened: {reason}.",
            "Check that the file is there and that your user may read it.",
        ) from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise AppError("invalid_model", f"{path.name} is not a regular file.", hint)
        if os.read(descriptor, len(_MAGIC)) != _MAGIC:
            raise AppError("invalid_model", f"{path.name} is not a GGUF file.", hint)
    finally:
        os.close(descriptor)


def model_bytes(path: Path) -> int:
    """Return the size of a model file and of the shards that belong to it."""
    match = _SHARD.match(path.name)
    if match is None:
        return path.stat().st_size
    count = int(match[3])
    shards = (
        path.with_name(f"{match[1]}-{n:05d}-of-{count:05d}.gguf") for n in range(1, count + 1)
    )
    return sum(shard.stat().st_size for shard in shards if shard.exists())
