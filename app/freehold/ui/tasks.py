"""Run coroutines that belong to a widget or view-model."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, runtime_checkable

import shiboken6
from PySide6.QtCore import QObject

from freehold.errors import AppError, internal

log = logging.getLogger(__name__)

# The loop keeps only weak references to tasks; these stay until they are done.
_running: set[asyncio.Task[Any]] = set()


@runtime_checkable
class ShowsErrors(Protocol):
    """An object that can put an error before the person."""

    def show_error(self, error: AppError) -> None:
        """Show the error."""
        ...


def spawn(
    owner: QObject,
    coro: Coroutine[Any, Any, Any],
    *,
    name: str = "",
    failed: Callable[[AppError], None] | None = None,
) -> asyncio.Task[Any]:
    """Run `coro` on the window's loop as a task that ends with `owner`.

    An `AppError` goes to `failed`, or to the nearest of `owner` and its parents that has
    `show_error`. Any other exception is a bug: logged, and shown as `internal`.
    """
    title = name or getattr(coro, "__qualname__", "task")
    task = asyncio.get_running_loop().create_task(
        _guard(owner, coro, title, failed), name=f"{type(owner).__name__}: {title}"
    )
    _running.add(task)
    gone = owner.destroyed.connect(lambda: task.cancel())

    def done(finished: asyncio.Task[Any]) -> None:
        _running.discard(finished)
        coro.close()  # a task cancelled before its first step never awaited it
        if shiboken6.isValid(owner):
            owner.destroyed.disconnect(gone)
        if not finished.cancelled():
            finished.exception()

    task.add_done_callback(done)
    return task


async def end_all() -> None:
    """Cancel every task still running and wait for them; for the end of the program."""
    current = asyncio.current_task()
    tasks = [task for task in _running if task is not current]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _guard(
    owner: QObject,
    coro: Coroutine[Any, Any, Any],
    title: str,
    failed: Callable[[AppError], None] | None,
) -> Any:
    try:
        return await coro
    except AppError as error:
        _show(owner, error, title, failed)
    except Exception:
        log.exception("task %s failed", title)
        _show(owner, internal(), title, failed)
    return None


def _show(
    owner: QObject, error: AppError, title: str, failed: Callable[[AppError], None] | None
) -> None:
    if not shiboken6.isValid(owner):
        return
    if failed is not None:
        failed(error)
        return
    place: QObject | None = owner
    while place is not None:
        if isinstance(place, ShowsErrors):
            place.show_error(error)
            return
        place = place.parent()
    log.error("task %s: %s (%s)", title, error.message, error.code)
