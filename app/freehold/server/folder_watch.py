"""Keeps the library in step with the folders of other programs and the person's own."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from freehold.errors import AppError
from freehold.library.folders import Root, folder_marks, known_roots, marks_changed
from freehold.library.local import Library

log = logging.getLogger(__name__)

LOOK_S: Final = 300.0  # at the latest; file systems of networks do not tell every change
NOTICE_S: Final = 3.0
SETTLE_S: Final = 180.0


class FolderWatch:
    """Searches the folders at the start, when something in them or their list changes, and now and
    then all the same.

    Models are used where they lie; nothing in these folders is changed.
    """

    def __init__(
        self,
        library: Library,
        chosen: Callable[[], tuple[str, ...]],
        *,
        environment: Mapping[str, str] = os.environ,
        home: Path | None = None,
        notice_s: float = NOTICE_S,
    ) -> None:
        self._library = library
        self._chosen = chosen
        self._known = known_roots(environment, home or Path.home())
        self._notice_s = notice_s
        self._marks: dict[str, int] = {}
        self._settled_at = 0.0
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
        roots = (*self._known, *own)
        # Before the search: what changes during it is seen as a change afterwards.
        self._marks = await asyncio.to_thread(folder_marks, roots)
        return await self._library.scan(roots)

    async def _watch(self) -> None:
        while True:
            looked_at, began_at = self._chosen(), time.monotonic()
            try:
                await self.look()
                await self._wait_for_change(looked_at, began_at)
            except AppError as error:
                log.warning("the search for models failed: %s", error.message)
                await asyncio.sleep(self._notice_s)

    async def _wait_for_change(self, looked_at: tuple[str, ...], began_at: float) -> None:
        """Return when a folder changed, the person chose others, or it has been long enough."""
        while time.monotonic() - began_at < LOOK_S:
            await asyncio.sleep(self._notice_s)
            if self._chosen() != looked_at:
                return
            if await asyncio.to_thread(marks_changed, self._marks):
                self._settled_at = time.monotonic() + SETTLE_S
                return
            if time.monotonic() < self._settled_at:
                # A file that is still being copied grows without changing its folder.
                await self._library.entries()
