"""Plans against llama.cpp: sizes of real loads, models of true shape, machines one may buy."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from doubles.big_models import gpt_oss_120b, kimi_k2, kimi_k3
from doubles.golden import GOLDEN, PUBLISHED_BYTES
from doubles.models import small_model, tiny_embedder, tiny_llama, tiny_model
from freehold.engine.process import ProcessEngine
from freehold.engine.requests import LoadOptions
from freehold.errors import AppError
from freehold.machine.measuring import MeasureProcess, to_options
from freehold.machine.plan.budgets import DiskBudget, Machine, RamBudget
from freehold.machine.planner import Place, plan_model
from freehold.machine.profiles import read_profiles
from freehold.wire_machine import Plan, PlanRequest

pytestmark = pytest.mark.engine

GB = 10**9
ROOMY = Place(Machine((), RamBudget(64 * GB, 64 * GB), DiskBudget(10**12, 10**12)))
TIGHT = Place(
    Machine((), RamBudget(100_000_000, 100_000_000, reserve_bytes=0), DiskBudget(10**12, 10**12))
)
ALLOWED = 0.02


@pytest_asyncio.fixture
async def child() -> AsyncIterator[MeasureProcess]:
    process = await MeasureProcess.start()
    yield process
    await process.close()


async def loaded(path: Path, plan: Plan, *, embeddings: bool) -> dict[str, int]:
    """Load a plan for real and return what the engine allocated in RAM."""
    options = to_options(path, plan.load, embeddings=embeddings)
    options = msgspec.structs.replace(options, memory=plan.load.memory or "read")
    engine = ProcessEngine()
    try:
        info = await engine.load(options, lambda _fraction: None)
        return info.buffers["CPU"]
    finally:
        await engine.close()


@pytest.mark.parametrize(
    ("model", "asked"),
    [
        (tiny_model, {}),
        (tiny_model, {"context_tokens": 4096, "parallel": 1, "kv_type": "q8_0"}),
        (tiny_model, {"context_tokens": 32768, "parallel": 16}),
        (small_model, {"context_tokens": 8192}),
        (small_model, {"context_tokens": 2048, "kv_type": "q4_0"}),
        (tiny_llama, {}),
        (tiny_llama, {"context_tokens": 512, "kv_type": "f32"}),
        (tiny_embedder, {"context_tokens": 512}),
    ],
    ids=lambda value: getattr(value, "__name__", None) or "-".join(map(str, value.values())),
)
async def test_a_plan_is_what_the_engine_allocates(
    child: MeasureProcess, model: Callable[[], Path], asked: dict[str, object]
) -> None:
    path = model()
    plan = await plan_model(path, PlanRequest(ref="", **asked), ROOMY, child)  # type: ignore[arg-type]
    assert plan.exact
    assert plan.verdict == "gpu+ram"
    parts = plan.devices[0].parts
    found = await loaded(path, plan, embeddings=model is tiny_embedder)
    assert parts.weights == pytest.approx(found["model"], rel=ALLOWED)
    assert parts.kv_cache == pytest.approx(found["context"], rel=ALLOWED)
    assert parts.compute == pytest.approx(found["compute"], rel=ALLOWED)


async def test_what_ram_cannot_hold_is_mapped_and_not_copied(child: MeasureProcess) -> None:
    path = small_model()
    plan = await plan_model(path, PlanRequest(ref="", context_tokens=2048), TIGHT, child)
    assert plan.verdict == "disk"
    ram, disk = plan.devices
    assert ram.used_bytes <= ram.free_bytes
    found = await loaded(path, plan, embeddings=False)
    assert ram.parts.weights + disk.parts.weights == pytest.approx(found["model"], rel=ALLOWED)


async def test_half_a_terabyte_is_planned_in_a_moment(tmp_path: Path) -> None:
    path = kimi_k2(tmp_path, "Q4_K_M")
    assert path.stat().st_size == pytest.approx(579 * 2**30, rel=0.02)
    profiles = read_profiles()
    profile = profiles.find("8xh200")
    place = Place(profiles.budgets(profile), profiles.speed(profile), is_here=False)
    plan = await plan_model(path, PlanRequest(ref=""), place)  # warms the page cache
    started = time.perf_counter()
    plan = await plan_model(path, PlanRequest(ref=""), place)
    # The bar is 2 s on a machine of its own; here other tests may run beside it.
    assert time.perf_counter() - started < 4.0
    assert plan.verdict == "gpu"
    assert sum(device.expert_layers for device in plan.devices) == 60


def header(folder: Path, name: str) -> Path:
    if name.startswith("K3"):
        return kimi_k3(folder, name.split()[1])
    return gpt_oss_120b(folder) if name == "gpt-oss-120b" else kimi_k2(folder, name)


@pytest.mark.parametrize("name", GOLDEN)
async def test_golden_answers(tmp_path: Path, child: MeasureProcess, name: str) -> None:
    path = header(tmp_path, name)
    assert path.stat().st_size == pytest.approx(PUBLISHED_BYTES[name], rel=0.035)
    profiles = read_profiles()
    answers = {}
    for machine in GOLDEN[name]:
        profile = profiles.find(machine)
        place = Place(profiles.budgets(profile), profiles.speed(profile), is_here=False)
        plan = await plan_model(path, PlanRequest(ref=""), place, child)
        on_gpu = sum(d.expert_layers for d in plan.devices if d.kind == "gpu")
        in_ram = next(d for d in plan.devices if d.kind == "ram").expert_layers
        answers[machine] = (plan.verdict, on_gpu, in_ram if plan.verdict != "no" else 0)
        assert (plan.decode_tokens_per_s is None) == (plan.verdict == "no")
        assert plan.basis == "estimated"
    assert answers == GOLDEN[name]


async def test_speeds_of_machines_that_people_reported(
    tmp_path: Path, child: MeasureProcess
) -> None:
    """24 GB GPU + 256 GB: 5 to 10 tokens/s at 1.8 bits; EPYC + 2 x 96 GB: about 20 at 3 to 4."""
    profiles = read_profiles()

    async def speed(quant: str, machine: str) -> float:
        profile = profiles.find(machine)
        place = Place(profiles.budgets(profile), profiles.speed(profile), is_here=False)
        plan = await plan_model(kimi_k2(tmp_path, quant), PlanRequest(ref=""), place, child)
        assert plan.decode_tokens_per_s is not None
        return plan.decode_tokens_per_s

    assert 5 <= await speed("UD-TQ1_0", "rtx4090-256gb") <= 10
    assert 15 <= await speed("Q4_K_M", "2xrtx-pro-6000-768gb") <= 25


async def test_a_damaged_header_is_refused_with_its_reason(
    tmp_path: Path, child: MeasureProcess
) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(tiny_model().read_bytes()[:5000])
    with pytest.raises(AppError) as caught:
        await plan_model(path, PlanRequest(ref=""), ROOMY, child)
    assert caught.value.code == "invalid_model"


@pytest.mark.allow_logs("asking llama.cpp for sizes", "llama.cpp ended")
async def test_a_child_that_died_leaves_an_estimate(child: MeasureProcess) -> None:
    await child.close()
    plan = await plan_model(tiny_model(), PlanRequest(ref=""), ROOMY, child)
    assert not plan.exact
    assert plan.reasons[-1] == "llama.cpp could not be asked: sizes are estimated."


async def test_an_option_llama_cpp_refuses(child: MeasureProcess) -> None:
    options = LoadOptions(path=str(tiny_model()), parallel=100_000)
    with pytest.raises(AppError) as caught:
        await child.ask(options)
    assert caught.value.code == "invalid_request"


async def test_when_it_does_not_fit_three_ways_out(child: MeasureProcess) -> None:
    machine = dataclasses.replace(
        TIGHT.budgets, ram=RamBudget(50_000_000, 50_000_000, reserve_bytes=0)
    )
    request = PlanRequest(ref="", context_tokens=32768, kv_type="f32")
    plan = await plan_model(tiny_model(), request, Place(machine), child)
    assert plan.verdict == "no"
    assert "RAM would have to hold" in plan.reasons[0]
    assert len(plan.ways_out) == 3
