"""The tools of calibration on the real engine: copies, steps, and models that llama.cpp takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from doubles.models import tiny_model
from freehold.engine.requests import LoadOptions
from freehold.errors import AppError
from freehold.gguf.shards import read_model
from freehold.library.model_maker.gauges import NAMES, write_gauge
from freehold.machine.calibrating import copy_speeds
from freehold.machine.calibration import KINDS
from freehold.machine.gauge import gauged
from freehold.machine.measuring import MeasureProcess
from freehold.machine.plan.shape import read_shape

pytestmark = pytest.mark.engine

SMALL = ("few_nodes", "many_nodes", "heads", "latent")


async def test_copies_are_measured_on_a_device_of_ggml() -> None:
    found = await copy_speeds(["CPU"])
    assert set(found["CPU"]) == {"upload", "download", "copy"}
    assert min(found["CPU"].values()) > 1e8


async def test_a_device_that_is_not_there_is_an_error() -> None:
    with pytest.raises(AppError, match="CUDA9"):
        await copy_speeds(["CUDA9"])


async def test_an_engine_is_measured_by_its_steps() -> None:
    async with gauged(LoadOptions(path=str(tiny_model()), context_tokens=512)) as gauge:
        reading = await gauge.run(64, 40)
        two = await gauge.run(16, 40, streams=2)
        assert gauge.pid is not None
    assert 0 < reading.decode_s < 5
    assert 0 < reading.prefill_s < 60
    assert 64 < reading.context_tokens < 104
    assert reading.chunk_tokens == 64
    assert two.streams == 2


async def test_llama_cpp_takes_the_gauges_as_they_are_meant(tmp_path: Path) -> None:
    child = await MeasureProcess.start()
    nodes = {}
    try:
        for name in SMALL:
            path = tmp_path / f"{name}.gguf"
            write_gauge(name, path)
            said = await child.ask(LoadOptions(path=str(path), context_tokens=256, memory="read"))
            assert said is not None
            nodes[name] = said.nodes
    finally:
        await child.close()
    assert None not in nodes.values()
    assert nodes["many_nodes"] > 3 * nodes["few_nodes"]  # type: ignore[operator]
    plain, latent = (
        read_shape(read_model(tmp_path / f"{name}.gguf")).work for name in ("heads", "latent")
    )
    assert (plain.is_latent, latent.is_latent) == (False, True)
    assert plain.head_values / plain.head_rows == 128
    assert latent.head_values / latent.head_rows == 576


def test_there_is_a_gauge_for_everything_that_is_fitted() -> None:
    assert set(NAMES) == {*SMALL, "experts", *KINDS}
