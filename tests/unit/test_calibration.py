"""Calibration: gauges show what was put into them, and speeds follow from bytes and work."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from freehold.engine.requests import LoadOptions
from freehold.errors import AppError
from freehold.machine import calibrating
from freehold.machine.calibrating import Tools, calibrate
from freehold.machine.calibration import (
    KINDS,
    Gauged,
    explain_decode,
    explain_prompt,
    fit_cpu,
    fit_gpu,
)
from freehold.machine.gauge import WARM_STEPS, Reading, quick_time, read_steps
from freehold.machine.measuring import Measured
from freehold.machine.plan.cpu_speed import AttentionSpeed, CpuSpeed
from freehold.machine.plan.kv import KvShape
from freehold.machine.plan.shape import Layer, ModelShape
from freehold.machine.plan.speed import distinct_experts
from freehold.machine.plan.work import Work
from freehold.wire_machine import Parts

CACHE = 32 << 20
TRUTH = CpuSpeed(
    node_s=6e-7,
    weight_s={"Q8_0": 5.6e-11, "Q4_K": 6.5e-11, "Q6_K": 6e-11},
    mac_s={"Q8_0": 1.1e-11, "Q4_K": 1e-11, "Q6_K": 9e-12},
    expert_weight_factor=1.3,
    expert_mac_factor=2.0,
    plain=AttentionSpeed(value_s=1.6e-10, prompt_value_s=5e-11),
    latent=AttentionSpeed(6.6e-9, 6.5e-11, 2e-9, 3e-11),
    step_s=4e-5,
    router_s=2e-6,
    token_value_s=1.3e-9,
    cache_bytes=CACHE,
    cached_factor=0.6,
)


def shape(
    work: Work, layers: int = 2, experts: int = 0, used: int = 0, width: int = 64
) -> ModelShape:
    rows = (Layer(Parts(), 1 if experts else 0, KvShape(64, 64)),) * layers
    return ModelShape(
        name="gauge", architecture="llama", layers=rows, input_bytes=0, output_bytes=0,
        is_tied=False, trained_tokens=8192, experts=experts, experts_used=used, width=width,
        vocabulary=1000, parameters=90_000_000, active_parameters=90_000_000, file_bytes=0,
        work=work,
    )  # fmt: skip


def gauge(work: Work, nodes: int, *lengths: int, **of: int) -> Gauged:
    """A gauge whose runs take what `TRUTH` says."""
    empty = Gauged(shape(work, **of), nodes, ())
    runs = []
    for tokens in lengths:
        run = Reading(1, tokens, tokens + 25.0, 0.0, 0.0, 512)
        decode, prompt = explain_decode(TRUTH, empty, run), explain_prompt(TRUTH, empty, run)
        runs.append(replace(run, decode_s=decode, prefill_s=prompt))
    return Gauged(empty.shape, nodes, tuple(runs))


def gauges() -> dict[str, Gauged]:
    found = {
        "few_nodes": gauge(
            Work({"Q8_0": 40_000}, {"Q4_0": 7_000_000}, {}, 12, 768, True), 211, 16, 512, 2048,
            experts=384, used=8,
        ),
        "many_nodes": gauge(
            Work({"Q8_0": 160_000}, {"Q4_0": 31_000_000}, {}, 48, 3072, True), 931, 16,
            experts=384, used=8, layers=11,
        ),
        "heads": gauge(Work({"Q8_0": 6_000_000}, {}, {}, 32, 4096), 130, 512, 2048, width=512),
        "latent": gauge(Work({"Q8_0": 900_000}, {}, {}, 18, 10_368, True), 211, 512, 2048),
        "experts": gauge(
            Work({"Q8_0": 3_000_000}, {"Q4_K": 170_000_000}, {}, 8, 2048, True), 131, 512,
            experts=384, used=8, width=1024,
        ),
    }  # fmt: skip
    for name, kind in KINDS.items():
        found[name] = gauge(
            Work({kind: 90_000_000, "F32": 8192}, {}, {}, 32, 8192), 68, 256, width=2048
        )
    return found


def test_the_fit_finds_what_was_put_in() -> None:
    found = fit_cpu(gauges(), CACHE)
    for name in (
        "node_s",
        "step_s",
        "expert_weight_factor",
        "expert_mac_factor",
        "cached_factor",
        "router_s",
        "token_value_s",
    ):
        assert getattr(found, name) == pytest.approx(getattr(TRUTH, name), rel=0.05), name
    for kind in ("plain", "latent"):
        for name in ("row_s", "value_s", "prompt_row_s", "prompt_value_s"):
            want = getattr(getattr(TRUTH, kind), name)
            assert getattr(getattr(found, kind), name) == pytest.approx(want, rel=0.05), name
    for kind in KINDS.values():
        assert found.weight_s[kind] == pytest.approx(TRUTH.weight_s[kind], rel=0.03)
        assert found.mac_s[kind] == pytest.approx(TRUTH.mac_s[kind], rel=0.05)


@pytest.mark.parametrize("disturbed", ["few_nodes", "many_nodes", "heads", "latent", "experts"])
@pytest.mark.parametrize("times", [0.2, 5.0])
def test_a_disturbed_gauge_never_gives_speeds_that_cannot_be(disturbed: str, times: float) -> None:
    found = gauges()
    runs = tuple(
        replace(run, decode_s=run.decode_s * times, prefill_s=run.prefill_s * times)
        for run in found[disturbed].runs
    )
    found[disturbed] = replace(found[disturbed], runs=runs)
    speed = fit_cpu(found, CACHE)
    values = [
        *speed.weight_s.values(), *speed.mac_s.values(), speed.node_s,
        speed.expert_weight_factor, speed.expert_mac_factor,
    ]  # fmt: skip
    assert min(values) > 0
    for part in (speed.plain, speed.latent):
        assert min(part.row_s, part.value_s, part.prompt_row_s, part.prompt_value_s) >= 0
    assert speed.step_s >= 0
    assert 0 < speed.cached_factor <= 1


def test_a_type_nobody_measured_is_taken_for_its_neighbour() -> None:
    work = Work({"Q4_0": 18_000}, {}, {}, 0, 0)
    like = Work({"Q4_K": 18_000}, {}, {}, 0, 0)  # as many weights
    assert TRUTH.layers_s(work, 1) == pytest.approx(TRUTH.layers_s(like, 1))
    tiny = Work({"IQ1_S": 50_000}, {}, {}, 0, 0)
    assert TRUTH.layers_s(tiny, 1) >= 50_000 * min(TRUTH.weight_s.values())


def test_what_stays_in_the_cache_is_cheaper() -> None:
    def per_byte(size: int) -> float:
        return TRUTH.layers_s(Work({"Q8_0": size}), 1) / size

    assert per_byte(8 << 20) == pytest.approx(0.6 * per_byte(64 << 20))
    assert per_byte(8 << 20) < per_byte(24 << 20) < per_byte(64 << 20)


def test_a_batch_hits_more_experts_but_never_all_at_once() -> None:
    assert distinct_experts(384, 8, 1) == pytest.approx(8)
    assert distinct_experts(384, 8, 16) == pytest.approx(384 * (1 - (1 - 8 / 384) ** 16))
    assert 8 < distinct_experts(384, 8, 2) < 16
    assert distinct_experts(384, 8, 10_000) == pytest.approx(384)
    assert distinct_experts(0, 0, 4) == 0


def test_a_gpus_figures_follow_from_its_gauges() -> None:
    few = Gauged(shape(Work(), layers=3), 211, (Reading(1, 16, 20, 0.0004, 0.001, 16),))
    many = Gauged(shape(Work(), layers=12), 931, (Reading(1, 16, 20, 0.0010, 0.001, 16),))
    size = 96_000_000
    run = Reading(1, 256, 280, 0.0002 + 2 * 0.0006 / 9, 0.01, 256)
    matrix = Gauged(shape(Work({"Q8_0": size}), layers=2), 68, (run,))
    speed = fit_gpu(few, many, matrix, 24e9)
    assert speed.layer_s == pytest.approx(0.0006 / 9)
    assert speed.memory_bytes_per_s == pytest.approx(size / 0.0002)
    assert speed.flops == pytest.approx(2 * 90e6 * 256 / 0.01)
    assert speed.pcie_bytes_per_s == 24e9


# --- reading steps ---------------------------------------------------------------------------


def test_steps_are_read_by_what_they_computed() -> None:
    steps: list[Any] = [(0.0, 2.0, (("a", 64, 0, 2080),))]
    at = 2.0
    for number in range(WARM_STEPS + 20):
        slow = 0.5 if number % 4 == 1 else 0.01  # another program, every fourth step
        steps.append((at, at + slow, (("a", 0, 1, 64 + number),)))
        at += slow
    found = read_steps(steps, 1, 64)
    assert found.decode_s == pytest.approx(0.01)
    assert found.prefill_s == 2.0
    assert found.chunk_tokens == 64
    assert 64 < found.context_tokens < 64 + WARM_STEPS + 20


def test_too_few_steps_are_no_measurement() -> None:
    with pytest.raises(ValueError, match="too few"):
        read_steps([(0.0, 1.0, (("a", 0, 1, 5),))], 1, 5)


def test_the_quick_quarter_stands_for_the_machine() -> None:
    assert quick_time([9.0, 1.0, 1.1, 8.0, 1.2]) == 1.1


# --- the whole, with doubles -----------------------------------------------------------------


class FakeChild:
    """llama.cpp that says how many nodes each gauge has."""

    closed = 0

    async def ask(self, options: LoadOptions) -> Measured:
        return Measured({}, 931 if "many" in options.path else 211)

    async def close(self) -> None:
        FakeChild.closed += 1


class FakeGauge:
    def __init__(self, on_gpu: bool) -> None:
        self._by = 0.1 if on_gpu else 1.0

    async def run(self, prompt_tokens: int, decode_tokens: int, streams: int = 1) -> Reading:
        decode = (0.001 + prompt_tokens * 1e-6) * self._by
        prompt = (prompt_tokens * 1e-4 + prompt_tokens**2 * 1e-8) * self._by
        return Reading(streams, prompt_tokens, prompt_tokens + 20.0, decode, prompt, 512)


def checked(found: dict[str, Gauged], _cache_bytes: int) -> CpuSpeed:
    assert set(found) == set(gauges())
    return TRUTH


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> tuple[Tools, list[str]]:
    """Doubles for the child, the gauges and the copies; and where gauges were loaded."""
    from doubles.models import tiny_model

    loaded: list[str] = []

    async def start() -> FakeChild:
        return FakeChild()

    monkeypatch.setattr(calibrating.MeasureProcess, "start", start)
    monkeypatch.setattr(calibrating, "read_disk_speed", lambda _folder: 3e9)
    monkeypatch.setattr(calibrating, "read_memory_speed", lambda _threads: 2e10)
    layers = {"few_nodes": 3, "many_nodes": 12}
    monkeypatch.setattr(calibrating, "read_model", lambda path: path.stem)
    monkeypatch.setattr(
        calibrating,
        "read_shape",
        lambda name: shape(Work({"Q8_0": 90_000_000}), layers=layers.get(name, 2)),
    )
    monkeypatch.setattr(calibrating, "fit_cpu", checked)

    @contextlib.asynccontextmanager
    async def load(options: LoadOptions) -> AsyncIterator[FakeGauge]:
        devices = options.placement.devices
        loaded.append(f"{Path(options.path).stem}@{devices[0] if devices else 'CPU'}")
        yield FakeGauge(bool(devices))

    async def copied(devices: Sequence[str]) -> dict[str, dict[str, float]]:
        return {name: {"upload": 2.4e10, "download": 2.2e10, "copy": 1.5e12} for name in devices}

    def make(_name: str, path: Path) -> None:
        shutil.copyfile(tiny_model(), path)

    return Tools(make, load, copied), loaded


async def test_a_machine_is_measured_with_its_gpus(
    world: tuple[Tools, list[str]], tmp_path: Path
) -> None:
    tools, loaded = world
    told: list[tuple[float, str]] = []
    found = await calibrate(
        tools, machine="m1", gpus={"CUDA0": "GPU-a", "CUDA1": "GPU-b"}, scratch=tmp_path / "new",
        models=tmp_path, tell=lambda fraction, words: told.append((fraction, words)),
    )  # fmt: skip
    assert set(found.gpus) == {"GPU-a", "GPU-b"}
    assert found.gpus["GPU-a"].pcie_bytes_per_s == 2.4e10
    assert found.disk_bytes_per_s == 3e9
    assert [name for name in loaded if name.endswith("@CUDA1")] == [
        "few_nodes@CUDA1", "many_nodes@CUDA1", "q8_0@CUDA1",
    ]  # fmt: skip
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert list((tmp_path / "new").iterdir()) == []


async def test_measuring_can_be_cancelled_and_leaves_nothing(
    world: tuple[Tools, list[str]], tmp_path: Path
) -> None:
    tools, loaded = world
    begun = asyncio.Event()

    @contextlib.asynccontextmanager
    async def hang(_options: LoadOptions) -> AsyncIterator[FakeGauge]:
        begun.set()
        await asyncio.Event().wait()
        yield FakeGauge(False)

    task = asyncio.create_task(
        calibrate(
            replace(tools, load=hang), machine="m", gpus={}, scratch=tmp_path, models=tmp_path,
            tell=lambda *_: None,
        )
    )  # fmt: skip
    before = FakeChild.closed
    await asyncio.wait_for(begun.wait(), 20)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert list(tmp_path.iterdir()) == []
    assert FakeChild.closed == before + 1
    assert loaded == []


async def test_no_room_for_the_gauges_is_said(
    world: tuple[Tools, list[str]], tmp_path: Path
) -> None:
    def full(_name: str, _path: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(AppError) as caught:
        await calibrate(
            replace(world[0], make=full), machine="m", gpus={}, scratch=tmp_path, models=tmp_path,
            tell=lambda *_: None,
        )  # fmt: skip
    assert caught.value.code == "storage_failed"
    assert "No space left" in caught.value.message
