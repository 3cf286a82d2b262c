"""The headers of models that are still on the hub, read over HTTP ranges.

What is read is kept as a sparse file of the real size, so a second look costs nothing.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from freehold.errors import AppError
from freehold.gguf.description import ModelFacts, describe
from freehold.gguf.header import GgufHeader, read_header
from freehold.gguf.shards import ModelFile, check_set
from freehold.library.download.fetching import Control, Fetcher, Progress, StoppedError
from freehold.library.download.origin import Origin, Repository, make_client
from freehold.library.download.ranges import Chunk
from freehold.library.variants import RepoFile, Variant

log = logging.getLogger(__name__)

BLOCK_BYTES: Final = 1 << 20
MOST_BYTES: Final = 96 << 20
LIMIT_S: Final = 60.0
READERS: Final = 8


class RemoteSource:
    """A file on the hub as the header reader asks for it."""

    def __init__(self, file: RepoFile, fetcher: Fetcher, sparse: Path) -> None:
        self._file = file
        self._fetcher = fetcher
        self._sparse = sparse
        self._blocks = sparse.with_suffix(".blocks")
        self._have = _read_blocks(self._blocks)
        self.read_bytes = 0
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(sparse, flags, 0o600)
        os.ftruncate(self._descriptor, file.bytes)

    @property
    def name(self) -> str:
        return self._file.path.rpartition("/")[2]

    @property
    def size_bytes(self) -> int:
        return self._file.bytes

    def read(self, offset: int, count: int) -> bytes:
        """Return `count` bytes at `offset`, fewer only at the end of the file."""
        end = min(offset + count, self._file.bytes)
        if end <= offset:
            return b""
        wanted = range(offset // BLOCK_BYTES, -(-end // BLOCK_BYTES))
        missing = [block for block in wanted if block not in self._have]
        if missing:
            self._fetch(missing[0], missing[-1] + 1)
        return os.pread(self._descriptor, end - offset, offset)

    def close(self) -> None:
        """Remember what was read."""
        os.close(self._descriptor)
        self._blocks.write_text(json.dumps(sorted(self._have)))

    def _fetch(self, first: int, end: int) -> None:
        start, stop = first * BLOCK_BYTES, min(end * BLOCK_BYTES, self._file.bytes)
        self.read_bytes += stop - start
        if self.read_bytes > MOST_BYTES:
            raise AppError(
                "invalid_model",
                f"The header of {self.name} is larger than any model's.",
                "Choose another repository.",
            )

        def sink(offset: int, pieces: list[bytes]) -> None:
            os.pwritev(self._descriptor, pieces, offset)

        self._fetcher.fetch(self._file, Chunk(0, start, stop), sink, Progress())
        self._have.update(range(first, end))


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """What a variant's headers say; read_bytes: what had to be fetched for it."""

    model: ModelFile
    facts: ModelFacts
    read_bytes: int


def read_remote(repository: Repository, variant: Variant, cache: Path) -> RemoteModel:
    """Read the headers of every file of a variant. Blocks.

    Raises: AppError with the reason; `network_failed` when it takes too long.
    """
    cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    control = Control(stall_s=10.0)
    timer = threading.Timer(LIMIT_S, control.stop)
    timer.start()
    began_s = time.monotonic()
    try:
        with make_client(READERS, control.stall_s) as client:
            fetcher = Fetcher(Origin(repository, client), client, control, repository.name)

            def read_one(file: RepoFile) -> tuple[GgufHeader, int]:
                source = RemoteSource(file, fetcher, cache / _cache_name(repository, file))
                try:
                    return read_header(source), source.read_bytes
                finally:
                    source.close()

            with ThreadPoolExecutor(READERS, thread_name_prefix="headers") as threads:
                found = list(threads.map(read_one, variant.files))
    except StoppedError as error:
        raise AppError(
            "network_failed",
            f"The headers of {repository.name} could not be read in {LIMIT_S:.0f} s.",
            "Check your network and try again.",
            retryable=True,
        ) from error
    finally:
        timer.cancel()
        timer.join()
    headers = [header for header, _ in found]
    names = [file.path.rpartition("/")[2] for file in variant.files]
    check_set(names, headers)
    log.info("read %d headers in %.2f s", len(headers), time.monotonic() - began_s)
    model = ModelFile(
        paths=tuple(Path(name) for name in names),
        header=headers[0],
        tensors=tuple(header.tensors for header in headers),
        bytes=sum(header.file_bytes for header in headers),
    )
    return RemoteModel(model, describe(model), sum(read for _, read in found))


def _cache_name(repository: Repository, file: RepoFile) -> str:
    subject = f"{repository.endpoint}\n{repository.name}\n{repository.revision}\n{file.path}"
    subject += f"\n{file.bytes}\n{file.sha256}"
    return hashlib.sha256(subject.encode()).hexdigest()[:40] + ".header"


def _read_blocks(path: Path) -> set[int]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return set()
    return (
        {block for block in found if isinstance(block, int)} if isinstance(found, list) else set()
    )
