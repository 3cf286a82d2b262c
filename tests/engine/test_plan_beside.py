"""Draft models, projectors and layers that guess ahead: counted, shown, as llama.cpp has them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from doubles.big_models import sized, write_header
from doubles.models import tiny_embedder, tiny_llama, tiny_model
from freehold.errors import AppError
from freehold.gguf.ggml_types import F16, F32, Q8_0
from freehold.gguf.shards import read_model
from freehold.library.model_maker import kimi
from freehold.library.model_maker.tensors import TensorMaker
from freehold.machine.beside import IMAGE_BUFFER_BYTES
from freehold.machine.measuring import MeasureProcess, to_options
from freehold.machine.plan.budgets import Beside, DiskBudget, GpuBudget, Machine, RamBudget
from freehold.machine.plan.planning import Sizes, make_plan
from freehold.machine.plan.question import ask
from freehold.machine.plan.shape import read_shape
from freehold.machine.planner import Place, plan_model
from freehold.wire_machine import PlanRequest

pytestmark = pytest.mark.engine

GB = 10**9
BARE = PlanRequest(ref="", context_tokens=2048, reserve_bytes=(0,))
ROOMY = Place(Machine((), RamBudget(64 * GB, 64 * GB), DiskBudget(10**12, 10**12)))
GPUS = Machine(
    (GpuBudget("A", 30_000_000, 30_000_000, 0), GpuBudget("B", 60_000_000, 60_000_000, 0)),
    RamBudget(GB, GB, 0),
    DiskBudget(10**12, 10**12),
)


@pytest_asyncio.fixture
async def child() -> AsyncIterator[MeasureProcess]:
    process = await MeasureProcess.start()
    yield process
    await process.close()


def projector(folder: Path) -> Path:
    keys = {"general.architecture": "clip", "general.type": "mmproj", "general.alignment": 32}
    tensors = [sized("v.patch_embd.weight", F16, 64, 1000), sized("v.bias", F32, 64)]
    return write_header(folder / "mmproj.gguf", dict(keys), tensors)


async def test_a_draft_model_and_a_projector_are_counted_and_shown(
    child: MeasureProcess, tmp_path: Path
) -> None:
    request = PlanRequest(
        ref="", context_tokens=2048, draft=str(tiny_llama()), projector=str(projector(tmp_path))
    )
    plan = await plan_model(tiny_model(), request, ROOMY, child)
    alone = await plan_model(tiny_model(), PlanRequest(ref="", context_tokens=2048), ROOMY, child)
    ram = plan.devices[0]
    load = alone.load
    said = await child.ask(to_options(tiny_llama(), load, embeddings=False))
    assert said is not None
    assert ram.parts.draft == sum(sum(kinds.values()) for kinds in said.devices.values())
    assert ram.parts.projector == 64 * 1000 * 2 + 64 * 4 + IMAGE_BUFFER_BYTES
    assert plan.needed_bytes - alone.needed_bytes == ram.parts.draft + ram.parts.projector
    assert any(reason.startswith("The draft model takes") for reason in plan.reasons)
    assert any(reason.startswith("The vision projector takes") for reason in plan.reasons)


def test_they_lie_on_the_first_gpu_with_room_and_the_model_gives_way() -> None:
    shape = read_shape(read_model(tiny_model()))
    question, machine = ask(BARE, shape, GPUS)
    beside = machine.with_beside(Beside(draft_bytes=40_000_000))
    assert [gpu.beside.total for gpu in beside.gpus] == [0, 40_000_000]
    plan = make_plan(shape, question, beside, Sizes({}))
    assert plan.devices[1].parts.draft == 40_000_000
    for device in plan.devices:
        assert device.parts.total == device.used_bytes
        if device.kind == "gpu":
            assert device.used_bytes <= device.free_bytes
    nowhere = machine.with_beside(Beside(projector_bytes=80_000_000))
    assert nowhere.ram.beside.projector_bytes == 80_000_000


@pytest.mark.parametrize("name", ["draft", "projector"])
async def test_files_of_another_kind_are_refused_by_name(child: MeasureProcess, name: str) -> None:
    wrong = tiny_embedder() if name == "draft" else tiny_llama()
    request = PlanRequest(ref="", context_tokens=2048, **{name: str(wrong)})
    with pytest.raises(AppError) as caught:
        await plan_model(tiny_model(), request, ROOMY, child)
    assert caught.value.code == "invalid_request"
    assert wrong.name in caught.value.message


def with_mtp(folder: Path) -> Path:
    """Write a model of four layers whose last one guesses ahead."""
    shape, words = replace(kimi.TINY, layers=4), kimi.vocabulary()
    keys = {
        "general.architecture": "deepseek2",
        "general.type": "model",
        "general.alignment": 32,
        **kimi.metadata(shape, "deepseek2", 4096),
        "deepseek2.nextn_predict_layers": 1,
        **kimi.tokenizer_metadata(words),
    }
    width = shape.width
    more = [
        sized("blk.3.nextn.eh_proj.weight", Q8_0, 2 * width, width),
        sized("blk.3.nextn.enorm.weight", F32, width),
        sized("blk.3.nextn.hnorm.weight", F32, width),
    ]
    tensors = [*kimi.tensors(shape, words, TensorMaker(1)), *more]
    return write_header(folder / "mtp.gguf", dict(keys), tensors)


async def test_layers_that_guess_ahead_are_told_apart_as_llama_cpp_does(
    child: MeasureProcess, tmp_path: Path
) -> None:
    path = with_mtp(tmp_path)
    shape = read_shape(read_model(path))
    assert len(shape.layers) == 3
    assert shape.mtp_layers == 1
    assert shape.mtp_bytes > shape.layers[2].expert_bytes
    plan = await plan_model(path, PlanRequest(ref="", context_tokens=2048), ROOMY, child)
    assert any("1 layer for guessing ahead" in reason for reason in plan.reasons)
    said = await child.ask(to_options(path, plan.load, embeddings=False))
    assert said is not None
    assert plan.devices[0].parts.weights == said.devices["CPU"]["model"]
    # llama.cpp has the header's other layers in memory and not this one.
    assert said.devices["CPU"]["model"] == pytest.approx(shape.weight_bytes, rel=0.03)


def test_llama_cpp_counts_layers_it_does_not_load(tmp_path: Path) -> None:
    shape = read_shape(read_model(with_mtp(tmp_path)))
    big = replace(GPUS, gpus=tuple(replace(g, total_bytes=GB, free_bytes=GB) for g in GPUS.gpus))
    question, machine = ask(BARE, shape, big)
    load = make_plan(shape, question, machine, Sizes({})).load
    assert load.gpu_layers == 5  # three, the one ahead, and the output
    assert sum(load.tensor_split or ()) == 5
