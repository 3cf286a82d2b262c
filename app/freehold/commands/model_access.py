"""How commands reach the models: through the running server, or the library itself without one."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

from freehold.client.discovery import find_server
from freehold.client.protocol import Client
from freehold.paths import Paths
from freehold.wire import ModelEntry


class ModelAccess(Protocol):
    """The library, wherever it is."""

    async def entries(self) -> tuple[ModelEntry, ...]:
        """Return every model."""
        ...

    async def import_file(self, path: str) -> ModelEntry:
        """Add the GGUF file at a full path, where it lies."""
        ...

    async def remove(self, ref: str, *, delete_files: bool = False) -> int:
        """Forget a model; return the bytes freed."""
        ...


class ServerModels:
    """The library of a running server, which alone may write the database."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def entries(self) -> tuple[ModelEntry, ...]:
        """Return every model."""
        return (await self._client.state()).models

    async def import_file(self, path: str) -> ModelEntry:
        """Add the GGUF file at a full path, where it lies."""
        return await self._client.import_model(path)

    async def remove(self, ref: str, *, delete_files: bool = False) -> int:
        """Forget a model; return the bytes freed."""
        return await self._client.remove_model(ref, delete_files=delete_files)


@contextlib.asynccontextmanager
async def open_models(paths: Paths) -> AsyncIterator[ModelAccess]:
    """Yield the models; without a server, this process holds the data folder meanwhile."""
    paths.create()
    found = await find_server(paths)
    if found is not None:
        try:
            yield ServerModels(found.client)
        finally:
            await found.client.close()
        return
    # Only here: listing models through a server needs no database.
    from freehold.server.server_lock import ServerLock
    from freehold.server.wiring import open_library

    lock = ServerLock(paths)
    await asyncio.to_thread(lock.take)
    try:
        async with open_library(paths) as library:
            yield library
    finally:
        lock.release()


async def find_ref(client: Client, text: str) -> str:
    """Return the model a REF or path on the command line means; a new file is taken in."""
    path = full_path(text)
    for entry in (await client.state()).models:
        if entry.ref == text or entry.path == str(path):
            return entry.ref
    if await asyncio.to_thread(path.exists):
        return (await client.import_model(str(path))).ref
    return text  # the server says that there is no such model


def full_path(text: str) -> Path:
    """Return the full path of what was typed; links are kept."""
    # os.path leaves an unknown user's "~name" as it is, where Path would raise.
    return Path(os.path.expanduser(text)).absolute()  # noqa: PTH111
