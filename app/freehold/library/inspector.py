"""Answers what a model of the library holds, and how its chat template differs from another's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Protocol

import msgspec

from freehold.errors import AppError
from freehold.library.anatomy import read_anatomy, read_template, read_tensors
from freehold.library.comparing import compare
from freehold.wire import ModelEntry
from freehold.wire_files import ModelAnatomy, TemplateComparison, TensorRow

BASE: Final = "base"
SAME_SIZE: Final = 0.01


class PublishedTemplates(Protocol):
    """Where templates that are not here can be read."""

    def chat_template(self, repository: str) -> str:
        """Return the chat template a repository publishes; blocks, raises AppError."""
        ...


class Inspector:
    """Reads headers in threads; nothing is kept, since the files may change."""

    def __init__(
        self,
        find: Callable[[str], Awaitable[ModelEntry]],
        entries: Callable[[], Awaitable[tuple[ModelEntry, ...]]],
        published: PublishedTemplates,
    ) -> None:
        self._find = find
        self._entries = entries
        self._published = published

    async def anatomy(self, ref: str) -> ModelAnatomy:
        """Return everything a model's headers say.

        Raises: AppError `model_not_found`, or why its files cannot be read.
        """
        entry = await self._find(ref)
        found = await asyncio.to_thread(read_anatomy, Path(entry.path), entry.ref)
        near = relatives(entry, await self._entries())
        return msgspec.structs.replace(found, relatives=near)

    async def tensors(self, ref: str) -> tuple[TensorRow, ...]:
        """Return every tensor of a model."""
        entry = await self._find(ref)
        return await asyncio.to_thread(read_tensors, Path(entry.path))

    async def compare(self, ref: str, other: str) -> TemplateComparison:
        """Return how a model's chat template differs from that of `other`.

        other: a model of the library, or "base": what the repository it was made from publishes.
        Raises: AppError `not_found` where one of the two has none.
        """
        entry = await self._find(ref)
        mine = await asyncio.to_thread(read_template, Path(entry.path))
        if not mine:
            raise _no_template(entry.ref)
        if other == BASE:
            found = await asyncio.to_thread(read_anatomy, Path(entry.path), entry.ref)
            if not found.base:
                raise AppError(
                    "not_found",
                    f"{entry.ref} does not say which model it was made from.",
                    "Compare with another model of your library.",
                )
            theirs = await asyncio.to_thread(self._published.chat_template, found.base)
            return await asyncio.to_thread(compare, mine, theirs, found.base)
        second = await self._find(other)
        theirs = await asyncio.to_thread(read_template, Path(second.path))
        if not theirs:
            raise _no_template(second.ref)
        return await asyncio.to_thread(compare, mine, theirs, second.ref)


def relatives(entry: ModelEntry, entries: tuple[ModelEntry, ...]) -> tuple[str, ...]:
    """Return the refs of what looks like the same model in another quantisation."""
    return tuple(
        other.ref
        for other in entries
        if other.ref != entry.ref
        and other.ready
        and (other.arch, other.experts) == (entry.arch, entry.experts)
        and abs(other.parameters - entry.parameters) <= entry.parameters * SAME_SIZE
    )


def _no_template(ref: str) -> AppError:
    return AppError(
        "not_found",
        f"{ref} has no chat template in its file.",
        "Compare with a model that has one.",
    )
