"""Looks for duplicates in the background: what is known at once, the rest as it is read."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from freehold.library.duplicates import Copy, FileKey, candidates, group, known_sum, read_sum
from freehold.wire import AnyEvent, Changed, ModelEntry
from freehold.wire_files import DuplicateGroup, Duplicates

log = logging.getLogger(__name__)

TOPIC: Final = "duplicates"


class _StoppedError(Exception):
    """Nobody waits any more."""


class DuplicateSearch:
    """Remembers checksums of files as long as they do not change."""

    def __init__(
        self,
        entries: Callable[[], Awaitable[tuple[ModelEntry, ...]]],
        hub_sums: Callable[[str], dict[str, str]],
        publish: Callable[[AnyEvent], None],
    ) -> None:
        """Make a search; hub_sums: the hub's checksums of a model's files by their paths."""
        self._entries, self._hub_sums, self._publish = entries, hub_sums, publish
        self._sums: dict[FileKey, str] = {}
        self._left_bytes = 0
        self._task: asyncio.Task[None] | None = None
        self._stopping = threading.Event()

    async def find(self) -> Duplicates:
        """Return what is known now; what has to be read is read from now on.

        `Changed("duplicates")` tells when there is more to know.
        """
        copies = await self._look()
        unknown = [pair for found in copies for pair in self._unknown(found)]
        if unknown and (self._task is None or self._task.done()):
            self._left_bytes = sum(key[2] for _, key in unknown)
            self._task = asyncio.create_task(self._read(unknown), name="duplicates")
        elif not unknown:
            self._left_bytes = 0
        groups: list[DuplicateGroup] = []
        for found in copies:
            groups += group(found, self._sums)
        return Duplicates(
            groups=tuple(sorted(groups, key=lambda item: -item.bytes)),
            left_bytes=max(0, self._left_bytes),
        )

    async def close(self) -> None:
        """Stop reading."""
        self._stopping.set()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _look(self) -> tuple[tuple[Copy, ...], ...]:
        entries = await self._entries()
        copies = await asyncio.to_thread(candidates, entries)
        for found in copies:
            for copy in found:
                told = self._hub_sums(copy.entry.ref)
                for path, key in zip(copy.paths, copy.keys, strict=True):
                    known = told.get(str(path)) or known_sum(path)
                    if known:
                        self._sums[key] = known
        return copies

    def _unknown(self, copies: tuple[Copy, ...]) -> list[tuple[Path, FileKey]]:
        pairs = {
            key: path
            for copy in copies
            for path, key in zip(copy.paths, copy.keys, strict=True)
            if key not in self._sums
        }
        return [(path, key) for key, path in pairs.items()]

    async def _read(self, files: list[tuple[Path, FileKey]]) -> None:
        for path, key in files:
            try:
                self._sums[key] = await asyncio.to_thread(read_sum, path, self._note)
            except _StoppedError:
                return
            except OSError as error:
                log.info("a file could not be read for its checksum: %s", error.strerror)
                self._sums[key] = f"unreadable {key}"
            self._publish(Changed(topic=TOPIC))

    def _note(self, count: int) -> None:
        if self._stopping.is_set():
            raise _StoppedError
        self._left_bytes -= count
