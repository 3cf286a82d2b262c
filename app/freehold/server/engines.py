"""The supervisor of engine processes: one per model, loaded when asked for, ended when idle.

Loads run one at a time in the order they were asked for; whoever asks for a model that is loading
waits for that same load. A crash marks the model failed and the next request loads it again after
a pause; three crashes in five minutes and it stays down until a person loads it by hand.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from freehold.engine.interface import Engine
from freehold.engine.requests import ModelInfo
from freehold.errors import AppError
from freehold.server.engine_slot import CRASH_CODES, EngineSlot, unloaded, vanished
from freehold.server.load_guard import Guard, is_better, is_loadable, planned_load
from freehold.server.load_options import LoadMemory, check_load_request, merge, to_options
from freehold.server.worker_pids import WorkerPids
from freehold.wire import AnyEvent, EngineChanged, EngineState, LoadRequest, ModelEntry
from freehold.wire_machine import Plan

log = logging.getLogger(__name__)

MAX_HELD = 512
PROGRESS_INTERVAL_S = 0.25
TICK_S = 1.0
STATS_LIMIT_S = 2.0


@dataclass(frozen=True, slots=True)
class HeldEngine:
    """A ready engine, kept loaded while its lease lasts."""

    ref: str
    engine: Engine
    info: ModelInfo


class EngineSupervisor:
    """Where features get engines from (`EngineSource`), and what the load buttons act on."""

    def __init__(
        self,
        *,
        resolve: Callable[[str], Awaitable[ModelEntry]],
        make_engine: Callable[[str], Engine],
        publish: Callable[[AnyEvent], None],
        memory: LoadMemory,
        pids: WorkerPids,
        idle_minutes: Callable[[], int] = lambda: 30,
        guard: Guard | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resolve = resolve
        self._make_engine = make_engine
        self._publish_event = publish
        self._memory = memory
        self._pids = pids
        self._idle_minutes = idle_minutes
        self._guard = guard
        self._clock = clock
        self._slots: dict[str, EngineSlot] = {}
        self._load_turn = asyncio.Lock()
        self._ticker: asyncio.Task[None] | None = None
        self._closing = False

    # --- what features use

    @contextlib.asynccontextmanager
    async def lease(
        self, ref: str, on_progress: Callable[[float], None] | None = None
    ) -> AsyncIterator[HeldEngine]:
        """Load `ref` if needed, keep it from being unloaded, and hand it out."""
        slot = self._slot(await self._resolve(ref))
        if slot.leases >= MAX_HELD:
            raise AppError(
                "busy",
                f"{slot.ref} already has {slot.leases} requests waiting.",
                "Try again in a few seconds.",
                retryable=True,
                detail={"waiting": slot.leases, "retry_after_s": 5},
            )
        slot.leases += 1
        held: HeldEngine | None = None
        try:
            held = await self._ready(slot, on_progress)
            yield held
        except AppError as error:
            if held is not None and error.code in CRASH_CODES:
                await self._crashed(slot, held.engine, error)
            raise
        finally:
            slot.leases -= 1
            slot.last_used = self._clock()
            if held is not None and held.engine.pid is None:
                await self._crashed(slot, held.engine, None)

    def states(self) -> tuple[EngineState, ...]:
        """Return every model that is loaded, loading or lost."""
        return tuple(
            slot.state(self._unload_at(slot)) for slot in self._slots.values() if slot.phase
        )

    async def load(self, ref: str, request: LoadRequest | None = None) -> None:
        """Begin to load a model by hand; clears a quarantine and loads anew if options differ.

        Raises: AppError `conflict` when the model is answering and the options would change.
        """
        if request is not None:
            check_load_request(request)
        slot = self._slot(await self._resolve(ref))
        slot.forgive()
        wanted = merge(self._memory.recall(slot.ref), request)
        if slot.phase in ("loading", "ready") and wanted == slot.request:
            return
        if slot.phase == "loading" or (slot.phase == "ready" and slot.leases):
            raise AppError(
                "conflict",
                f"{slot.ref} is in use with other options.",
                "Wait until it has answered, or unload it first.",
                retryable=True,
            )
        if slot.phase == "ready":
            await self._end(slot)
        slot.request = wanted
        self._begin(slot)

    async def wait_loaded(self, ref: str) -> None:
        """Wait for a load under way; raises its error."""
        slot = self._slot(await self._resolve(ref))
        if slot.loading is not None:
            await _outcome(slot.loading, slot.ref)
        elif slot.error is not None:
            raise slot.error

    async def unload(self, ref: str) -> None:
        """End a model's engine process; requests under way fail."""
        slot = self._slots.get(ref) or self._slot(await self._resolve(ref))
        slot.forgive()
        await self._end(slot)

    def options(self, ref: str) -> LoadRequest:
        """Return the options `ref` is loaded with next time if nobody asks for others."""
        return self._memory.recall(ref)

    def remember(self, ref: str, request: LoadRequest) -> None:
        """Load `ref` with these options from its next load on."""
        self._memory.keep(ref, request)
        slot = self._slots.get(ref)
        if slot is not None and slot.phase not in ("loading", "ready"):
            slot.request = request

    async def lose(self, device: str, error: AppError) -> None:
        """End every engine that uses a device that is gone."""
        for slot in list(self._slots.values()):
            if slot.engine is not None and slot.info and device in slot.info.devices:
                await self._crashed(slot, slot.engine, error)

    # --- life

    async def start(self) -> None:
        """End orphans of a former server and begin to watch."""
        await asyncio.to_thread(self._pids.reap)
        self._ticker = asyncio.create_task(self._watch(), name="engine-watch")

    async def close(self) -> None:
        """End every engine process."""
        self._closing = True
        if self._ticker is not None:
            self._ticker.cancel()
            await asyncio.gather(self._ticker, return_exceptions=True)
        await asyncio.gather(*(self._end(slot) for slot in list(self._slots.values())))

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            try:
                await self.tick()
            except Exception:  # the watch goes on whatever one look brought
                log.exception("looking after the engines failed")

    async def tick(self) -> None:
        """Look once: notice dead workers, read their figures, unload what nobody uses."""
        ready = [slot for slot in self._slots.values() if slot.phase == "ready"]
        await asyncio.gather(*(self._look_at(slot) for slot in ready))

    async def _look_at(self, slot: EngineSlot) -> None:
        engine = slot.engine
        if engine is None:
            return
        if engine.pid is None:
            await self._crashed(slot, engine, None)
            return
        unload_at = self._unload_at(slot)
        if unload_at is not None and self._clock() >= self._idle_end(slot):
            log.info("unloading %s after it was idle", slot.ref)
            await self._end(slot)
            return
        if slot.leases or (slot.stats is not None and slot.stats.running):
            with contextlib.suppress(AppError, TimeoutError):
                slot.stats = await asyncio.wait_for(engine.stats(), STATS_LIMIT_S)
        self._publish(slot)

    # --- loading

    def _slot(self, entry: ModelEntry) -> EngineSlot:
        slot = self._slots.get(entry.ref)
        if slot is None:
            slot = EngineSlot(entry=entry, request=self._memory.recall(entry.ref))
            self._slots[entry.ref] = slot
        slot.entry = entry
        return slot

    async def _ready(
        self, slot: EngineSlot, on_progress: Callable[[float], None] | None
    ) -> HeldEngine:
        engine = slot.engine
        if slot.phase == "ready" and engine is not None and engine.pid is None:
            await self._crashed(slot, engine, None)
        if slot.phase != "ready":
            if slot.quarantine is not None:
                raise slot.quarantine
            task = self._begin(slot)
            if on_progress is not None:
                slot.listeners.append(on_progress)
            try:
                await _outcome(task, slot.ref)
            finally:
                if on_progress is not None:
                    slot.listeners.remove(on_progress)
        if slot.phase != "ready" or slot.engine is None or slot.info is None:
            raise unloaded(slot.ref)
        return HeldEngine(slot.ref, slot.engine, slot.info)

    def _begin(self, slot: EngineSlot) -> asyncio.Task[None]:
        if self._closing:
            raise unloaded(slot.ref)
        if slot.loading is None:
            slot.phase, slot.fraction, slot.error = "loading", 0.0, None
            slot.loading = asyncio.create_task(self._load(slot), name=f"load {slot.ref}")
            slot.loading.add_done_callback(lambda task: task.cancelled() or task.exception())
            self._publish(slot)
        return slot.loading

    async def _load(self, slot: EngineSlot) -> None:
        pause_s = slot.retry_at - self._clock()
        if pause_s > 0:
            await pause(pause_s)
        engine: Engine | None = None
        try:
            async with slot.turn, self._load_turn:
                load = await self._make_room(slot)
                engine = slot.engine = self._make_engine(slot.ref)
                options = to_options(slot.entry, load)
                slot.info = await engine.load(options, lambda part: self._progress(slot, part))
            self._memory.keep(slot.ref, slot.request)
            slot.phase, slot.fraction, slot.stats = "ready", 1.0, None
            slot.last_used = self._clock()
            self._record(slot)
        except AppError as error:
            if engine is not None:
                await engine.close()
            slot.fail(error, self._clock())
            raise slot.quarantine or error from error
        except BaseException:
            if engine is not None:
                await engine.close()
            slot.phase = None
            raise
        finally:
            slot.loading = None
            self._publish(slot)

    def _progress(self, slot: EngineSlot, fraction: float) -> None:
        slot.fraction = fraction
        self._record(slot)
        now = self._clock()
        if now - slot.told_at >= PROGRESS_INTERVAL_S:
            slot.told_at = now
            self._publish(slot)
        for listener in slot.listeners:
            listener(fraction)

    def _record(self, slot: EngineSlot) -> None:
        if slot.engine is not None and slot.engine.pid is not None and not slot.recorded_pid:
            slot.recorded_pid = slot.engine.pid
            self._pids.add(slot.recorded_pid)

    async def _make_room(self, slot: EngineSlot) -> LoadRequest:
        """Unload idle models, least recently used first, as far as that makes `slot` fit better.

        Returns how to load it: as planned, where there is a plan.
        Raises: AppError `does_not_fit` with the sum and three ways out, unless it is forced.
        """
        if self._guard is None:
            return slot.request
        plan = await self._guard.look(slot.entry, slot.request, {})
        if plan is None:
            return slot.request
        idle = sorted(self._idle_beside(slot), key=lambda s: s.last_used)
        freed: Counter[str] = Counter()
        for other in idle:
            freed.update(other.held_bytes())
        if idle and plan.verdict != "gpu":
            best = await self._guard.look(slot.entry, slot.request, freed)
            if best is not None and is_better(best, plan):
                plan = await self._evict(slot, idle, plan, best)
        if not is_loadable(plan, slot.request):
            raise await self._guard.refusal(slot.entry, plan)
        return planned_load(plan, slot.request)

    async def _evict(
        self, slot: EngineSlot, idle: list[EngineSlot], plan: Plan, best: Plan
    ) -> Plan:
        """Unload until the plan is as good as without any of them; return that plan."""
        assert self._guard is not None
        for other in idle:
            if other.phase != "ready" or other.leases:
                continue  # it was asked for while another one ended
            log.info("unloading %s to make room for %s", other.ref, slot.ref)
            await self._end(other)
            found = await self._guard.look(slot.entry, slot.request, {})
            plan = found or plan
            if not is_better(best, plan):
                break
        return plan

    def _idle_beside(self, slot: EngineSlot) -> list[EngineSlot]:
        return [
            other
            for other in self._slots.values()
            if other.phase == "ready" and not other.leases and other != slot
        ]

    # --- ending

    async def _end(self, slot: EngineSlot) -> None:
        loading, engine = slot.loading, slot.engine
        if loading is not None:
            loading.cancel()
            await asyncio.gather(loading, return_exceptions=True)
        slot.engine, slot.info = None, None
        if engine is not None:
            slot.phase = "unloading"
            self._publish(slot)
            async with slot.turn:
                await engine.close()
                self._forget_pid(slot)
        if slot.loading is None:  # else somebody asked for it again meanwhile
            slot.phase, slot.error, slot.stats = None, None, None
        self._publish(slot)

    async def _crashed(self, slot: EngineSlot, engine: Engine, error: AppError | None) -> None:
        if slot.engine is not engine or slot.phase != "ready":
            return
        slot.fail(error or vanished(slot.ref), self._clock())
        log.warning("the engine of %s crashed: %s", slot.ref, slot.error and slot.error.message)
        slot.engine, slot.info = None, None
        self._forget_pid(slot)
        self._publish(slot)
        with contextlib.suppress(AppError):
            await engine.close()

    def _forget_pid(self, slot: EngineSlot) -> None:
        self._pids.remove(slot.recorded_pid)
        slot.recorded_pid = None

    def _idle_end(self, slot: EngineSlot) -> float:
        return slot.last_used + self._idle_minutes() * 60

    def _unload_at(self, slot: EngineSlot) -> float | None:
        """Return the Unix time at which an idle model is unloaded; None while used or never."""
        if slot.phase != "ready" or slot.leases or self._idle_minutes() == 0:
            return None
        return time.time() + self._idle_end(slot) - self._clock()

    def _publish(self, slot: EngineSlot) -> None:
        state = slot.state(self._unload_at(slot)) if slot.phase else None
        if slot.tell(state):
            self._publish_event(EngineChanged(ref=slot.ref, engine=state))


async def _outcome(task: asyncio.Task[None], ref: str) -> None:
    """Wait for a load others may wait for too; raise what it raised."""
    await asyncio.wait([task])
    if task.cancelled():
        raise unloaded(ref)
    task.result()


async def pause(seconds: float) -> None:
    """Wait before a model that crashed is loaded again."""
    await asyncio.sleep(seconds)
