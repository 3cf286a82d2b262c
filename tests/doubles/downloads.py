"""A download over the hub double, small and quick: chunks of 64 KiB, impatient connections."""

from __future__ import annotations

import random
from pathlib import Path

from doubles.hub import Hub, HubRepo
from freehold.library.download.fetching import Control
from freehold.library.download.origin import Repository
from freehold.library.download.places import Place, place_files
from freehold.library.download.transfer import Options, Transfer
from freehold.library.variants import RepoFile

CHUNK = 64 * 1024
REPO = "ada/tiny-GGUF"


def some_bytes(count: int, seed: int = 1) -> bytes:
    """Return bytes that never repeat, the same ones each time."""
    return random.Random(seed).randbytes(count)


def publish(hub: Hub, files: dict[str, bytes], name: str = REPO) -> tuple[RepoFile, ...]:
    """Put files on the hub; return them as the hub lists them."""
    repo = hub.add(HubRepo(name, files=dict(files)))
    return tuple(RepoFile(path, file.size, file.sha256) for path, file in repo.stored.items())


def make_transfer(
    hub: Hub,
    models: Path,
    files: tuple[RepoFile, ...],
    *,
    connections: int = 3,
    chunk_bytes: int = CHUNK,
    stall_s: float = 0.4,
    token: str | None = None,
    name: str = REPO,
) -> Transfer:
    """Return a transfer of `files` to `models`."""
    return Transfer(
        Repository(hub.url, name, "main", lambda: token),
        place_files(models, name, files),
        models,
        control=Control(stall_s=stall_s, backoff_first_s=0.01),
        options=Options(connections=connections, chunk_bytes=chunk_bytes),
    )


def contents(places: tuple[Place, ...]) -> dict[str, bytes]:
    """Return the complete files by their path in the repository."""
    return {place.file.path: place.target.read_bytes() for place in places}
