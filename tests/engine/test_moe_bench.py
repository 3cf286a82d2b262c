"""The bench of the expert kernels, as far as it can run without a GPU: on ggml's CPU device."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from freehold.engine import kernel_bench
from freehold.engine.ggml import list_devices
from freehold.engine.kernel_bench import Case, Layers, Shape

SMALL = Shape("small", 256, 256, 6, 2)
OAI = Shape("small oai", 64, 96, 5, 3, oai=True)


def cpu() -> int:
    return next(device.handle for device in list_devices() if device.is_cpu)


@pytest.mark.engine
@pytest.mark.parametrize(("shape", "kind"), [(SMALL, "Q4_K"), (OAI, "MXFP4")])
def test_a_case_is_measured_by_turns(
    monkeypatch: pytest.MonkeyPatch, shape: Shape, kind: str
) -> None:
    monkeypatch.setattr(kernel_bench, "BYTES_PER_EVALUATION", 1)
    turns: list[bool] = []
    case = Case(shape, kind, kind, 3)
    row = kernel_bench.measure_case(case, cpu(), turns.append, 1e9, rounds=2)
    assert row is not None
    assert turns == [False, True, True, False]  # who goes first changes
    assert row.error == 0  # the CPU has no switch: both turns compute the same
    assert row.layers == 2
    assert 0 < row.bytes_read <= case.expert_bytes() * shape.experts
    assert row.stock_us > 0 < row.ours_us
    assert len(row.to_line()) == len(kernel_bench.HEADER.split("   (", maxsplit=1)[0])


@pytest.mark.engine
def test_experts_are_drawn_anew_and_change_the_result() -> None:
    layers = Layers(Case(SMALL, "Q4_K", "Q6_K", 2), cpu(), 2)
    with layers.graph as graph:
        results = []
        for _ in range(2):
            assert 2 <= layers.draw_experts() <= 4
            graph.compute()
            results.append(layers.results())
    assert np.isfinite(results[0]).all()
    assert np.abs(results[0]).max() > 0
    assert not np.array_equal(results[0], results[1])


def test_weights_are_larger_than_the_cache_and_fit_into_memory() -> None:
    one = next(case for case in kernel_bench.CASES if case.name == "Qwen3-30B-A3B Q4_K, 1 tokens")
    free = 80 * 2**30
    layers = kernel_bench.layers_for(one, free)
    assert layers * one.expert_bytes() * 8 >= kernel_bench.BYTES_PER_EVALUATION
    kimi = next(case for case in kernel_bench.CASES if case.name == "Kimi K2 Q4_K, 64 tokens")
    assert kernel_bench.layers_for(kimi, free) == 2
    assert kernel_bench.layers_for(kimi, 2**30) == 0


def test_without_a_gpu_the_command_says_so() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "freehold", "bench", "kernels"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.count("\n") <= 2
    assert "no GPU" in done.stderr or "No GPU" in done.stderr
