"""A GPU that vanishes under a loaded model: noticed, said clearly, and the way to the CPU shown."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from doubles.engine import FakeEngine
from doubles.models import tiny_model
from doubles.nvml import FakeGpu, FakeNvml
from doubles.server import FakeModels, fake_entry, fake_house
from freehold.devices.nvml import Nvml
from freehold.engine.requests import LoadOptions, ModelInfo
from freehold.errors import AppError
from freehold.machine.planner import plan_model
from freehold.machine.service import Places
from freehold.power.sources import gpu_sources
from freehold.server.gpu_watch import LOOK_S, GpuWatch
from freehold.server.wiring import House
from freehold.wire import LoadRequest
from freehold.wire_machine import PlanRequest

pytestmark = pytest.mark.allow_logs("is gone", "the engine of .* crashed")


class OnGpu(FakeModels):
    """Engines that say they are on the first GPU."""

    def __call__(self, ref: str = "") -> FakeEngine:
        engine = super().__call__()
        load = engine.load

        async def on_gpu(options: LoadOptions, *rest: object) -> ModelInfo:
            info = await load(options, *rest)  # type: ignore[arg-type]
            return msgspec.structs.replace(info, devices=("CUDA0",))

        engine.load = on_gpu  # type: ignore[method-assign]
        return engine


@pytest.fixture
def nvml() -> FakeNvml:
    return FakeNvml([FakeGpu(), FakeGpu(name="NVIDIA GeForce RTX 4090")])


@pytest_asyncio.fixture
async def house(tmp_path: Path, nvml: FakeNvml) -> AsyncIterator[House]:
    house = fake_house(tmp_path, OnGpu(), [fake_entry("tiny")])
    driver, _ = Nvml.open(nvml)  # type: ignore[arg-type]
    places = Places(house.paths, driver, "", ("CUDA0", "CUDA1"))

    async def opened() -> Places:
        return places

    house.machine.places = opened  # type: ignore[method-assign]
    house.gpu_watch = GpuWatch(opened, house.engines, house.paths.models, look_s=0.01)
    yield house
    await house.close()


async def loaded(house: House) -> None:
    await house.engines.load("tiny", LoadRequest(force=True))
    await house.engines.wait_loaded("tiny")


async def test_a_model_on_a_gpu_that_is_gone_ends_with_a_clear_error(
    house: House, nvml: FakeNvml
) -> None:
    await loaded(house)
    house.gpu_watch.start()
    await asyncio.sleep(0.05)
    assert [state.phase for state in house.engines.states()] == ["ready"]
    nvml.gpus[0].lost = True
    began = time.monotonic()
    while house.engines.states()[0].phase == "ready":
        assert time.monotonic() - began < 5
        await asyncio.sleep(0.01)
    (state,) = house.engines.states()
    assert state.error is not None
    assert state.error.code == "engine_crashed"
    assert state.error.message.startswith("The GPU NVIDIA H100 PCIe (CUDA0) does not answer")
    assert "CPU only" in state.error.hint
    assert state.error.detail["fallback"] == "cpu"
    # On a real server the watch looks so often that all this takes less than ten seconds.
    assert 2 * LOOK_S < 10


async def test_the_other_gpu_going_ends_nothing(house: House, nvml: FakeNvml) -> None:
    await loaded(house)
    await house.gpu_watch.look()
    nvml.gpus[1].lost = True
    await house.gpu_watch.look()
    assert [state.phase for state in house.engines.states()] == ["ready"]


async def test_without_models_on_gpus_the_driver_is_left_alone(
    house: House, nvml: FakeNvml
) -> None:
    nvml.gpus[0].lost = True
    asked: list[str] = []
    nvml.nvmlDeviceGetCount = lambda: asked.append("count") or 2  # type: ignore[method-assign]
    await house.gpu_watch.look()
    assert asked == []


async def test_the_power_of_a_lost_gpu_is_no_reading(nvml: FakeNvml) -> None:
    driver, _ = Nvml.open(nvml)  # type: ignore[arg-type]
    assert driver is not None
    first = next(iter(gpu_sources(driver)))
    assert first.read().watts == 120.0
    nvml.gpus[0].lost = True
    gone = first.read()
    assert (gone.watts, gone.microjoules) == (None, None)


async def test_the_model_runs_on_the_cpu_instead(house: House, nvml: FakeNvml) -> None:
    """A plan for the CPU alone is made, and one for the GPU says what there is."""
    nvml.gpus[0].lost = nvml.gpus[1].lost = True
    places = await house.machine.places()
    place = await places.place("", tiny_model())
    plan = await plan_model(tiny_model(), PlanRequest(ref="", devices=()), place)
    assert plan.verdict == "gpu+ram"
    assert plan.load.devices == ()
    with pytest.raises(AppError, match="no GPU named 'CUDA0'"):
        await plan_model(tiny_model(), PlanRequest(ref="", devices=("CUDA0",)), place)
