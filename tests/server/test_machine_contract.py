"""What every `MachineClient` keeps to: the same assertions on `HttpMachine` over a real server and
on the `FakeMachine` the window's tests use; then the guard before loads on the real one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from doubles.client import FakeClient
from doubles.models import tiny_model
from doubles.server import FakeModels, LiveServer, fake_entry, fake_house
from freehold.client.http import HttpClient
from freehold.client.machine import MachineClient
from freehold.errors import AppError
from freehold.server.load_guard import (
    is_loadable,
    planned_load,
    smaller_variant,
    to_plan_request,
    with_freed,
)
from freehold.wire import LoadRequest
from freehold.wire_machine import Plan, PlanRequest


@contextlib.asynccontextmanager
async def http_machine(folder: Path) -> AsyncIterator[MachineClient]:
    entry = fake_entry("tiny", path=str(tiny_model()))
    server = LiveServer(lambda: fake_house(folder, FakeModels(), [entry]))
    await asyncio.to_thread(server.start)
    try:
        client = HttpClient(server.url, server.key)
        try:
            yield client.machine
        finally:
            await client.close()
    finally:
        await asyncio.to_thread(server.stop)


@contextlib.asynccontextmanager
async def fake_machine(_folder: Path) -> AsyncIterator[MachineClient]:
    client = FakeClient()
    yield client.machine
    await client.close()


@pytest.fixture(params=[http_machine, fake_machine])
async def machine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MachineClient]:
    async with request.param(tmp_path) as client:
        yield client


async def test_the_machine_is_described(machine: MachineClient) -> None:
    state = await machine.state()
    assert state.inventory.memory.total_bytes > 0
    assert state.inventory.cpu.threads >= 1
    assert bool(state.inventory.gpus) != bool(state.inventory.gpu_note)
    assert "h100-512gb" in state.profiles


async def test_a_plan_sums_up(machine: MachineClient) -> None:
    plan = await machine.plan(PlanRequest(ref="tiny", context_tokens=4096, parallel=2))
    assert plan.verdict in ("gpu", "gpu+ram", "disk")
    assert (plan.context_tokens, plan.parallel) == (4096, 2)
    assert plan.reasons
    for device in plan.devices:
        assert device.parts.total == device.used_bytes


async def test_measuring_is_told_and_can_be_cancelled(machine: MachineClient) -> None:
    before = await machine.state()
    assert before.calibration is None
    assert before.job is None
    state = await machine.calibrate()
    assert state.job is not None
    assert (state.job.kind, state.job.is_over) == ("calibrate", False)
    with pytest.raises(AppError) as caught:
        await machine.tune("tiny")
    assert caught.value.code == "conflict"
    state = await machine.cancel_job()
    assert state.job is not None
    assert state.job.is_over
    assert state.job.error is not None
    assert state.job.error.code == "cancelled"
    assert (await machine.state()).calibration is None
    await machine.cancel_job()  # nothing runs: nothing happens


async def test_what_was_never_tuned_is_said(machine: MachineClient) -> None:
    setup = await machine.setup("tiny")
    assert setup.tuned is None
    assert setup.options == LoadRequest()
    with pytest.raises(AppError) as caught:
        await machine.use_tuned("tiny", as_tuned=True)
    assert caught.value.code == "not_found"
    with pytest.raises(AppError) as caught:
        await machine.tune("missing")
    assert caught.value.code == "model_not_found"


async def test_a_machine_to_buy_can_be_asked_for(machine: MachineClient) -> None:
    plan = await machine.plan(PlanRequest(ref="tiny", machine="8xh200"))
    assert plan.verdict == "gpu"
    assert plan.decode_tokens_per_s is not None
    assert len(plan.devices) == 10
    with pytest.raises(AppError) as caught:
        await machine.plan(PlanRequest(ref="tiny", machine="abacus"))
    assert caught.value.code == "not_found"


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (PlanRequest(ref="missing"), "model_not_found"),
        (PlanRequest(ref="tiny", context_tokens=1 << 23), "invalid_request"),
        (PlanRequest(ref="tiny", kv_type="q9"), "invalid_request"),
        (PlanRequest(ref="tiny", devices=(), gpu_layers=3), "invalid_request"),
    ],
)
async def test_what_cannot_be_planned(
    machine: MachineClient, request_: PlanRequest, code: str
) -> None:
    with pytest.raises(AppError) as caught:
        await machine.plan(request_)
    assert caught.value.code == code


# --- the guard's decisions --------------------------------------------------------------------


async def fake_plan(**asked: object) -> Plan:
    client = FakeClient()
    try:
        return await client.machine.plan(PlanRequest(ref="kimi", **asked))  # type: ignore[arg-type]
    finally:
        await client.close()


async def test_a_load_follows_the_plan_and_the_person() -> None:
    plan = await fake_plan()
    load = planned_load(plan, LoadRequest(threads=6, kv_type_v="q8_0"))
    assert load.overrides == plan.load.overrides
    assert load.gpu_layers == 62
    assert load.context_tokens is None
    assert (load.threads, load.kv_type_v, load.memory) == (6, "q8_0", "read")
    assert planned_load(plan, LoadRequest(context_tokens=4096)).context_tokens == 4096


async def test_what_is_loaded_without_asking() -> None:
    fits = await fake_plan()
    assert is_loadable(fits, LoadRequest())
    client = FakeClient()
    client.machine.gpus = []
    slow = await client.machine.plan(PlanRequest(ref="kimi"))
    await client.close()
    assert slow.verdict == "disk"
    assert not is_loadable(slow, LoadRequest())
    assert is_loadable(slow, LoadRequest(memory="mmap"))
    assert is_loadable(slow, LoadRequest(force=True))


async def test_freed_memory_counts_on_its_own_device() -> None:
    from freehold.machine.plan.budgets import DiskBudget, GpuBudget, Machine, RamBudget

    machine = Machine(
        (GpuBudget("H100", 80, 10, engine_device="CUDA0"),),
        RamBudget(100, 50),
        DiskBudget(1, 1),
    )
    freed = with_freed(machine, {"CUDA0": 60, "CPU": 90})
    assert freed.gpus[0].free_bytes == 70
    assert freed.ram.free_bytes == 100


def test_a_smaller_variant_of_the_same_model() -> None:
    big = fake_entry("k2-q4", bytes=600, parameters=1000)
    entries = [
        big,
        fake_entry("k2-q2", bytes=380, parameters=1001),
        fake_entry("k2-q1", bytes=245, parameters=1001),
        fake_entry("other", bytes=500, parameters=700),
        fake_entry("llama", bytes=500, parameters=1000, arch="llama"),
    ]
    found = smaller_variant(big, entries)
    assert found is not None
    assert found.ref == "k2-q2"
    assert smaller_variant(entries[2], entries) is None


def test_a_load_request_is_asked_of_the_planner_as_it_is() -> None:
    asked = to_plan_request(
        "x", LoadRequest(devices=("CUDA1",), kv_type_k="q8_0", reserve_bytes=(5,), parallel=2)
    )
    assert asked == PlanRequest(
        ref="x", devices=("CUDA1",), kv_type="q8_0", reserve_bytes=(5,), parallel=2
    )
