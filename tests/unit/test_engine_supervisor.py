"""The supervisor of engines: one load for many, idle unload, crashes, quarantine, eviction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import pytest

from doubles.engine import Crash, FakeEngine, Pause, say
from doubles.server import FakeLibrary, FakeModels, fake_entry
from freehold.engine.requests import ChatPrompt, GenerateRequest
from freehold.errors import AppError
from freehold.server import engines as engines_module
from freehold.server.engines import EngineSupervisor
from freehold.server.load_guard import refuse
from freehold.server.load_options import LoadMemory
from freehold.server.worker_pids import WorkerPids
from freehold.wire import AnyEvent, EngineChanged, LoadRequest, ModelEntry
from freehold.wire_machine import DevicePlan, Parts, Plan

pytestmark = pytest.mark.allow_logs("the engine of .* crashed")

REQUEST = GenerateRequest(id="r", prompt=ChatPrompt(messages=({"role": "user", "content": "a"},)))


class Clock:
    """A clock the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class ScriptedGuard:
    """Plans by file size alone: what is free counts down from `free_bytes` with every engine."""

    def __init__(self, models: FakeModels) -> None:
        self.models = models
        self.total_bytes = 10_000_000
        self.taken_bytes = 0

    async def look(self, entry: ModelEntry, request: LoadRequest, freed: Mapping[str, int]) -> Plan:
        alive = sum(2_600_000 for engine in self.models.made if not engine.closed)
        free = self.total_bytes - self.taken_bytes - alive + sum(freed.values())
        fits = entry.bytes <= free
        used = Parts(experts=entry.bytes)
        device = DevicePlan(
            name="RAM", kind="ram", total_bytes=self.total_bytes, free_bytes=free,
            used_bytes=used.total, parts=used,
        )  # fmt: skip
        return Plan(
            verdict="gpu+ram" if fits else "disk", devices=(device,), reasons=(),
            decode_tokens_per_s=None, prefill_tokens_per_s=None, basis="estimated",
            context_tokens=4096, parallel=4, kv_type="f16", needed_bytes=used.total,
            load=msgspec.structs.replace(request, memory="read" if fits else "mmap"),
        )  # fmt: skip

    async def refusal(self, entry: ModelEntry, plan: Plan) -> AppError:
        return refuse(entry, plan, plan.ways_out)


class Stage:
    """A supervisor with everything around it played."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.events: list[AnyEvent] = []
        self.models = FakeModels()
        self.guard = ScriptedGuard(self.models)
        self.options = LoadMemory(folder / "options.json")
        library = FakeLibrary(
            [fake_entry("a"), fake_entry("b"), fake_entry("c"), fake_entry("big", bytes=10**9)]
        )
        self.supervisor = EngineSupervisor(
            resolve=library.resolve,
            make_engine=lambda _ref: self.models(),
            publish=self.events.append,
            memory=self.options,
            pids=WorkerPids(folder / "pids.json"),
            guard=self.guard,
            clock=self.clock,
        )

    def phases(self, ref: str) -> list[str | None]:
        told = [e for e in self.events if isinstance(e, EngineChanged) and e.ref == ref]
        phases = [e.engine.phase if e.engine else None for e in told]
        return [p for i, p in enumerate(phases) if i == 0 or p != phases[i - 1]]


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    async def no_pause(_seconds: float) -> None:
        return None

    monkeypatch.setattr(engines_module, "pause", no_pause)
    return Stage(tmp_path)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - lets the others run, waits for nothing
            await asyncio.sleep(0)


async def ask(stage: Stage, ref: str) -> str:
    async with stage.supervisor.lease(ref) as held:
        events = [event async for event in held.engine.generate(REQUEST)]
    return type(events[-1]).__name__


async def test_many_ask_and_one_load_happens(stage: Stage) -> None:
    gate = asyncio.Event()
    stage.models.make = lambda: FakeEngine(load_gate=gate)
    fractions: list[float] = []

    async def one() -> None:
        async with stage.supervisor.lease("a", fractions.append):
            pass

    tasks = [asyncio.create_task(one()) for _ in range(5)]
    await until(lambda: bool(fractions))
    gate.set()
    await asyncio.gather(*tasks)
    assert len(stage.models.made) == 1
    assert stage.phases("a") == ["loading", "ready"]
    await stage.supervisor.close()
    assert stage.models.last.closed
    assert stage.phases("a")[-2:] == ["unloading", None]


async def test_who_leaves_while_it_loads_does_not_stop_the_load(stage: Stage) -> None:
    gate = asyncio.Event()
    stage.models.make = lambda: FakeEngine(load_gate=gate)
    leaver = asyncio.create_task(ask(stage, "a"))
    stayer = asyncio.create_task(ask(stage, "a"))
    await until(lambda: bool(stage.models.made))
    leaver.cancel()
    await asyncio.gather(leaver, return_exceptions=True)
    gate.set()
    assert await stayer == "Done"


async def test_idle_models_are_unloaded_and_used_ones_are_not(stage: Stage) -> None:
    async with stage.supervisor.lease("a"):
        stage.clock.now += 3 * 3600
        await stage.supervisor.tick()
        assert stage.phases("a")[-1] == "ready"
        assert stage.supervisor.states()[0].unload_at is None
    await stage.supervisor.tick()
    assert stage.supervisor.states()[0].unload_at is not None
    stage.clock.now += 30 * 60 - 1
    await stage.supervisor.tick()
    assert not stage.models.last.closed
    stage.clock.now += 1
    await stage.supervisor.tick()
    assert stage.models.last.closed
    assert stage.supervisor.states() == ()


async def test_a_crash_is_told_and_the_next_request_loads_anew(stage: Stage) -> None:
    stage.models.make = lambda: FakeEngine(say("a", Crash()))
    with pytest.raises(AppError) as caught:
        await ask(stage, "a")
    assert caught.value.code == "engine_crashed"
    state = stage.supervisor.states()[0]
    assert state.phase == "failed"
    assert state.error is not None
    assert "SIGKILL" in state.error.message
    stage.models.make = FakeEngine
    assert await ask(stage, "a") == "Done"
    assert len(stage.models.made) == 2


async def test_a_crash_while_idle_is_noticed_by_the_next_look(stage: Stage) -> None:
    await ask(stage, "a")
    stage.models.last.kill()
    await stage.supervisor.tick()
    assert stage.supervisor.states()[0].phase == "failed"


async def test_three_crashes_in_five_minutes_and_it_stays_down(stage: Stage) -> None:
    stage.models.make = lambda: FakeEngine(say(Crash()))
    for _ in range(3):
        with pytest.raises(AppError):
            await ask(stage, "a")
        stage.clock.now += 60
    with pytest.raises(AppError, match="3 times"):
        await ask(stage, "a")
    assert len(stage.models.made) == 3
    stage.models.make = FakeEngine
    await stage.supervisor.load("a")
    await stage.supervisor.wait_loaded("a")
    assert await ask(stage, "a") == "Done"


async def test_crashes_far_apart_are_forgiven(stage: Stage) -> None:
    stage.models.make = lambda: FakeEngine(say(Crash()))
    for _ in range(6):
        with pytest.raises(AppError, match="SIGKILL"):
            await ask(stage, "a")
        stage.clock.now += 200


async def test_a_second_crash_makes_the_next_load_wait(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    async def note(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(engines_module, "pause", note)
    stage.models.make = lambda: FakeEngine(say(Crash()))
    for _ in range(2):
        with pytest.raises(AppError):
            await ask(stage, "a")
    assert waits == []
    stage.models.make = FakeEngine
    await ask(stage, "a")
    assert waits == [0.5]


async def test_other_models_go_on_while_one_crashes(stage: Stage) -> None:
    gate = asyncio.Event()
    stage.models.make = lambda: FakeEngine(say("x", Pause(gate), "y"))
    going = asyncio.create_task(ask(stage, "b"))
    await until(lambda: bool(stage.models.made and stage.models.last.running))
    stage.models.make = lambda: FakeEngine(say(Crash()))
    with pytest.raises(AppError):
        await ask(stage, "a")
    gate.set()
    assert await going == "Done"


async def test_a_failed_load_names_its_cause_and_may_be_tried_again(stage: Stage) -> None:
    error = AppError("invalid_model", "The file is cut short.", "Get it again.")
    stage.models.make = lambda: FakeEngine(load_error=error)
    for _ in range(5):  # not a crash, so no quarantine
        with pytest.raises(AppError, match="cut short"):
            await ask(stage, "a")
    assert stage.models.last.closed
    assert stage.phases("a")[-1] == "failed"


async def test_idle_models_make_room_and_busy_ones_do_not(stage: Stage) -> None:
    stage.guard.taken_bytes = 7_000_000
    await ask(stage, "a")
    first = stage.models.last
    await ask(stage, "b")
    assert first.closed
    async with stage.supervisor.lease("b"):
        busy = stage.models.last
        with pytest.raises(AppError) as caught:
            await ask(stage, "a")
        assert caught.value.code == "does_not_fit"
        assert not busy.closed


async def test_a_model_larger_than_the_machine_is_refused_with_numbers(stage: Stage) -> None:
    with pytest.raises(AppError) as caught:
        await ask(stage, "big")
    assert caught.value.code == "does_not_fit"
    assert "1.00 GB" in caught.value.message
    assert stage.models.made == []
    assert len(caught.value.detail["ways_out"]) == 3  # type: ignore[arg-type]
    assert "--memory mmap" in caught.value.hint
    await stage.supervisor.load("big", LoadRequest(memory="mmap"))
    await stage.supervisor.wait_loaded("big")


async def test_a_forced_load_is_not_refused_and_not_remembered_as_forced(stage: Stage) -> None:
    await stage.supervisor.load("big", LoadRequest(force=True))
    await stage.supervisor.wait_loaded("big")
    assert stage.options.recall("big") == LoadRequest()


async def test_nothing_is_unloaded_that_would_not_help(stage: Stage) -> None:
    await ask(stage, "a")
    with pytest.raises(AppError, match=r"1\.00 GB"):
        await ask(stage, "big")
    assert not stage.models.made[0].closed


async def test_options_are_merged_kept_and_reloaded(stage: Stage, tmp_path: Path) -> None:
    await stage.supervisor.load("a", LoadRequest(context_tokens=2048, devices=()))
    await stage.supervisor.wait_loaded("a")
    await stage.supervisor.load("a", LoadRequest(parallel=2))
    await stage.supervisor.wait_loaded("a")
    options = stage.models.last.options
    assert options is not None
    assert (options.context_tokens, options.parallel) == (2048, 2)
    assert options.placement.devices == ()
    assert len(stage.models.made) == 2
    kept = LoadMemory(tmp_path / "options.json").recall("a")
    assert kept == LoadRequest(context_tokens=2048, devices=(), parallel=2)


async def test_options_of_a_busy_model_are_not_changed(stage: Stage) -> None:
    async with stage.supervisor.lease("a"):
        await stage.supervisor.load("a")  # the same options: nothing to do
        with pytest.raises(AppError) as caught:
            await stage.supervisor.load("a", LoadRequest(parallel=8))
    assert caught.value.code == "conflict"


@pytest.mark.parametrize(
    "request_",
    [
        LoadRequest(context_tokens=0),
        LoadRequest(parallel=257),
        LoadRequest(threads=-1),
        LoadRequest(kv_type_k="f64"),
        LoadRequest(tensor_split=(-1.0,)),
        LoadRequest(tensor_split=(float("nan"),)),
        LoadRequest(gpu_layers=-2),
        LoadRequest(overrides=(("x" * 501, "CPU"),)),
    ],
)
async def test_load_options_out_of_bounds_are_refused(stage: Stage, request_: LoadRequest) -> None:
    with pytest.raises(AppError) as caught:
        await stage.supervisor.load("a", request_)
    assert caught.value.code == "invalid_request"


async def test_unloading_ends_a_load_and_fails_who_waits(stage: Stage) -> None:
    stage.models.make = lambda: FakeEngine(load_gate=asyncio.Event())
    waiting = asyncio.create_task(ask(stage, "a"))
    await until(lambda: bool(stage.models.made))
    await stage.supervisor.unload("a")
    (outcome,) = await asyncio.gather(waiting, return_exceptions=True)
    assert isinstance(outcome, AppError)
    assert outcome.code == "cancelled"
    assert stage.models.last.closed
    assert stage.supervisor.states() == ()


async def test_too_many_waiting_is_busy(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines_module, "MAX_HELD", 1)
    async with stage.supervisor.lease("a"):
        with pytest.raises(AppError) as caught:
            await ask(stage, "a")
    assert caught.value.code == "busy"
    assert caught.value.retryable


async def test_load_is_told_at_most_four_times_a_second(stage: Stage) -> None:
    steps = [i / 1000 for i in range(1000)]
    stage.models.make = lambda: FakeEngine(load_progress=steps)
    await ask(stage, "a")
    loading = [e for e in stage.events if isinstance(e, EngineChanged) and e.engine]
    assert len([e for e in loading if e.engine and e.engine.phase == "loading"]) <= 3


async def test_who_asks_while_it_unloads_waits_for_a_new_load(stage: Stage) -> None:
    ended = asyncio.Event()

    class Slow(FakeEngine):
        async def close(self) -> None:
            await ended.wait()
            await super().close()

    stage.models.make = Slow
    await ask(stage, "a")
    unloading = asyncio.create_task(stage.supervisor.unload("a"))
    await until(lambda: stage.phases("a")[-1] == "unloading")
    stage.models.make = FakeEngine
    asking = asyncio.create_task(ask(stage, "a"))
    await until(lambda: stage.phases("a")[-1] == "loading")
    assert len(stage.models.made) == 1  # never two processes of one model
    ended.set()
    await unloading
    assert await asking == "Done"
    assert stage.phases("a")[-3:] == ["unloading", "loading", "ready"]


async def test_unloading_a_busy_model_ends_its_requests(stage: Stage) -> None:
    stage.models.make = lambda: FakeEngine(say("a", Pause(asyncio.Event())))
    asking = asyncio.create_task(ask(stage, "a"))
    await until(lambda: bool(stage.models.made and stage.models.last.running))
    await stage.supervisor.unload("a")
    (outcome,) = await asyncio.gather(asking, return_exceptions=True)
    assert isinstance(outcome, AppError)
    assert stage.supervisor.states() == ()
    stage.models.make = FakeEngine
    assert await ask(stage, "a") == "Done"


async def test_a_model_asked_for_while_another_makes_room_stays(stage: Stage) -> None:
    ended = asyncio.Event()

    class Slow(FakeEngine):
        async def close(self) -> None:
            await ended.wait()
            await super().close()

    stage.models.make = Slow
    await ask(stage, "a")
    stage.models.make = FakeEngine
    stage.clock.now += 1
    await ask(stage, "b")
    second = stage.models.last
    stage.guard.taken_bytes = 6_600_000  # both would have to go
    loading = asyncio.create_task(ask(stage, "c"))
    await until(lambda: stage.phases("a")[-1] == "unloading")
    async with stage.supervisor.lease("b"):
        ended.set()
        (outcome,) = await asyncio.gather(loading, return_exceptions=True)
        assert isinstance(outcome, AppError)
        assert outcome.code == "does_not_fit"
        assert not second.closed
    assert stage.models.made[0].closed
