"""The models that are being made on this machine, one after another."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from freehold.errors import AppError, internal
from freehold.library.download.places import disk_error
from freehold.library.inspection import to_info
from freehold.library.making import converting, quantising
from freehold.library.making.places import (
    Workplace,
    clear_unfinished,
    free_bytes,
    room_problem,
)
from freehold.library.making.recipe import make_recipe, result_name
from freehold.wire import AnyEvent, Changed, ModelEntry
from freehold.wire_files import ConvertRequest, Making, QuantisePlan, QuantiseRequest

log = logging.getLogger(__name__)

TOPIC: Final = "making"
WAITING: Final = "waits for its turn"
TELL_S: Final = 0.5
MOST_REMEMBERED: Final = 20

TakeIn = Callable[[Path, str], Awaitable[ModelEntry]]
Find = Callable[[str], Awaitable[ModelEntry]]
Make = Callable[[Callable[[str], None]], Awaitable[Path]]


class Workshop:
    """Makes models in child processes; a result appears in the library only when it is whole."""

    def __init__(
        self,
        models: Path,
        cache: Path,
        find: Find,
        take_in: TakeIn,
        publish: Callable[[AnyEvent], None],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Make an empty workshop; take_in: adds a result to the library under a name."""
        self._models, self._find, self._take_in = models, find, take_in
        self._cache = cache
        self._publish, self._clock = publish, clock
        self._jobs: dict[str, Making] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Delete what a server that ended has left unfinished."""
        await asyncio.to_thread(clear_unfinished, self._models)

    async def close(self) -> None:
        """End what is being made."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def all(self) -> tuple[Making, ...]:
        """Return what is being made, and how the last ones ended; newest first."""
        return tuple(sorted(self._jobs.values(), key=lambda job: -job.begun_at))

    async def plan(self, request: QuantiseRequest) -> QuantisePlan:
        """Return what a request would make; a plan with a `problem` is an answer too.

        Raises: AppError where the model or the request cannot be used at all.
        """
        entry = await self._find(request.ref)
        return (await quantising.prepare(entry, request, self._models)).plan

    async def quantise(self, request: QuantiseRequest) -> Making:
        """Begin to quantise.

        Raises: AppError as `plan`; `disk_full` or `invalid_request` for a plan with a problem.
        """
        entry = await self._find(request.ref)
        prepared = await quantising.prepare(entry, request, self._models)
        plan = prepared.plan
        if plan.problem:
            code = "invalid_request" if plan.needs_matrix else "disk_full"
            raise AppError(code, plan.problem, "Change the plan, or make room.")
        place = Workplace(self._models, plan.name)
        self._check_name(place)
        mix = make_recipe(request).mix
        return self._begin(
            Making(
                id=secrets.token_hex(8),
                kind="quantise",
                name=plan.name,
                source=entry.ref,
                state="running",
                total_bytes=plan.bytes,
                begun_at=self._clock(),
            ),
            place,
            lambda tell: quantising.make(prepared, place, tell),
            f"{plan.name.removesuffix(f'-{mix}')}:{mix}",
        )

    async def convert(self, request: ConvertRequest) -> Making:
        """Begin to convert a checkpoint.

        Raises: AppError `not_supported` with what to type, `disk_full`, or why the folder cannot
        be converted.
        """
        checkpoint = await asyncio.to_thread(converting.read_checkpoint, request.folder)
        converter = await asyncio.to_thread(converting.find_converter, self._cache)
        await converting.check_environment(converter, self._cache / "converter")
        expected = converting.expected_bytes(checkpoint, request.kind)
        problem = room_problem(expected, await asyncio.to_thread(free_bytes, self._models))
        if problem:
            raise AppError("disk_full", problem, "Make room, or move the folder of models.")
        wished = QuantiseRequest(ref="", mix="", name=request.name or checkpoint.folder.name)
        place = Workplace(self._models, result_name("", wished, ""))
        self._check_name(place)
        return self._begin(
            Making(
                id=secrets.token_hex(8),
                kind="convert",
                name=place.name,
                source=str(checkpoint.folder),
                state="running",
                total_bytes=expected,
                begun_at=self._clock(),
            ),
            place,
            lambda tell: converting.convert(converter, checkpoint, request, place, tell),
            place.name,
        )

    async def cancel(self, identifier: str) -> None:
        """End what is being made and delete what came of it; take an ended one off the list."""
        self._get(identifier)
        task = self._tasks.get(identifier)
        if task is None:
            self._jobs.pop(identifier, None)
            self._publish(Changed(topic=TOPIC, id=identifier))
            return
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    # --- inside ------------------------------------------------------------------------------

    def _begin(self, job: Making, place: Workplace, make: Make, ref: str) -> Making:
        ended = [old.id for old in self.all() if old.state != "running"]
        for identifier in ended[MOST_REMEMBERED:]:
            del self._jobs[identifier]
        self._show(job)
        task = asyncio.create_task(self._run(job.id, place, make, ref), name=f"make {job.name}")
        self._tasks[job.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(job.id, None))
        return job

    async def _run(self, identifier: str, place: Workplace, make: Make, ref: str) -> None:
        watcher = asyncio.create_task(self._watch(identifier, place))
        try:
            if self._turn.locked():
                self._note(identifier, step=WAITING)
            async with self._turn:
                self._note(identifier, step="")
                path = await make(lambda step: self._note(identifier, step=step))
            entry = await self._take_in(path, ref)
            done = self._jobs[identifier].total_bytes
            self._note(
                identifier, state="done", ref=entry.ref, step="", done_bytes=done, eta_s=None
            )
            log.info("made %s", entry.ref)
        except asyncio.CancelledError:
            self._note(identifier, state="cancelled", step="", eta_s=None)
        except AppError as error:
            self._fail(identifier, error)
        except OSError as error:
            self._fail(identifier, disk_error(error, place.hidden))
        except Exception:
            log.exception("making a model failed")
            self._fail(identifier, internal())
        finally:
            watcher.cancel()
            self._publish(Changed(topic=TOPIC, id=identifier))

    async def _watch(self, identifier: str, place: Workplace) -> None:
        """Tell how much is written, and how long the rest takes at this pace."""
        first: tuple[float, int] | None = None
        while True:
            await asyncio.sleep(TELL_S)
            written = await asyncio.to_thread(place.written_bytes)
            now, job = time.monotonic(), self._jobs[identifier]
            if job.state != "running":
                return
            if written and first is None:
                first = (now, written)
            eta_s = None
            if first is not None and written > first[1] and job.total_bytes:
                pace = (written - first[1]) / (now - first[0])
                eta_s = max(0.0, (job.total_bytes - written) / pace)
            # A conversion's total is an estimate: what is written is never more than all of it.
            total = max(job.total_bytes, written)
            self._note(identifier, done_bytes=written, total_bytes=total, eta_s=eta_s)
            self._publish(Changed(topic=TOPIC, id=identifier))

    def _note(self, identifier: str, **changes: Any) -> None:
        self._jobs[identifier] = msgspec.structs.replace(self._jobs[identifier], **changes)

    def _fail(self, identifier: str, error: AppError) -> None:
        log.info("making a model failed: %s", error.code)
        self._note(identifier, state="failed", step="", eta_s=None, error=to_info(error))

    def _show(self, job: Making) -> None:
        self._jobs[job.id] = job
        self._publish(Changed(topic=TOPIC, id=job.id))

    def _check_name(self, place: Workplace) -> None:
        busy = any(job.name == place.name and job.state == "running" for job in self._jobs.values())
        if busy or place.folder.exists():
            raise AppError(
                "conflict",
                f"There is a model called {place.name} already, or it is being made.",
                "Give the result another name, or delete the old one.",
            )

    def _get(self, identifier: str) -> Making:
        job = self._jobs.get(identifier)
        if job is None:
            raise AppError("not_found", "That is no longer in the list.", "Look at it again.")
        return job
