"""Keeps the library in step with the folders of other programs and the person's own."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from freehold.errors import AppError
from freehold.library.folders import Root, known_roots
from freehold.library.local import Library

log = logging.getLogger(__name__)

LOOK_S: Final = 300.0
NOTICE_S: Final = 1.0


class FolderWatch:
    """Searches the folders at the start, every few minutes, and when the person changes them.

    Models are used where they lie; nothing in these folders is changed.
    """

    def __init__(
        self,
        library: Library,
        chosen: Callable[[], tuple[str, ...]],
        *,
        environment: Mapping[str, str] = os.environ,
        home: Path | None = None,
    ) -> None:
        self._library = library
        self._chosen = chosen
        self._known = known_roots(environment, home or Path.home())
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._task = asyncio.create_task(self._watch(), name="folders")

    async def close(self) -> None:
        """Stop watching."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def look(self) -> int:
        """Search every folder now; return how many models are new."""
        chosen = tuple(dict.fromkeys(self._chosen()))
        remembered = set(await self._library.folders())
        for path in remembered - set(chosen):
            await self._library.remove_folder(path)
        for path in chosen:
            if path not in remembered:
                try:
                    await self._library.add_folder(path)
                except AppError as error:
                    log.info("a model folder is not there: %s", error.code)
        own = tuple(Root(Path(path), path) for path in chosen)
        return await self._library.scan((*self._known, *own))

    async def _watch(self) -> None:
        while True:
            looked_at = self._chosen()
            try:
                await self.look()
            except AppError as error:
                log.warning("the search for models failed: %s", error.message)
            for _ in range(round(LOOK_S / NOTICE_S)):
                await asyncio.sleep(NOTICE_S)
                if self._chosen() != looked_at:
                    break
