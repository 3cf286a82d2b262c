"""A value that changes, and those who wait for it to come to an end."""

from __future__ import annotations

import asyncio
from typing import Any, Final, Generic, TypeVar

import msgspec

from freehold.errors import AppError
from freehold.wire import ErrorInfo
from freehold.wire_documents import DocumentInfo, DocumentQuestion

LONGEST_WAIT_S: Final = 25.0

T = TypeVar("T", bound=DocumentInfo | DocumentQuestion)


class Watched(Generic[T]):
    """A value that somebody may wait on to change."""

    def __init__(self, value: T) -> None:
        self.value: T = value
        self._changed = asyncio.Event()

    def set(self, value: T) -> None:
        """Put a new value and wake who waits."""
        self.value = value
        self._changed.set()
        self._changed = asyncio.Event()

    def change(self, **fields: Any) -> None:
        """Replace some fields."""
        self.set(msgspec.structs.replace(self.value, **fields))

    async def wait(self, wait_s: float) -> T:
        """Return the value once it is an end, or after a while as it is."""
        try:
            async with asyncio.timeout(min(max(0.0, wait_s), LONGEST_WAIT_S)):
                while self.value.phase not in ("ready", "failed"):
                    await self._changed.wait()
        except TimeoutError:
            pass
        return self.value


def error_info(error: AppError) -> ErrorInfo:
    """Return an error as the API's value; figures that are not JSON become text."""
    return msgspec.convert(msgspec.to_builtins(error.to_dict(), enc_hook=str), ErrorInfo)
