"""The stream kernels in the emulator, against ggml's dequantisation and float64.

`make emulator` runs the full matrix (FREEHOLD_EMULATOR=full); here each type, length, number of
columns and routing occurs in some combination with each other.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from doubles import moe
from doubles.moe import Emulator, EmulatorError, normalised_error
from doubles.moe_cases import Case, Layer

LARGEST_ERROR = 5e-4  # ggml's own limit in test-backend-ops
LENGTHS = (768, 1408, 2048, 2880, 7168)
COLUMNS = (1, 2, 5, 8, 16, 33)
ROUTINGS = ("random", "one", "none", "alone", "holes")


def fits(kind: str, values: int) -> bool:
    return kind in moe.SMALL_BLOCKS or values % 256 == 0


def all_cases() -> list[Case]:
    cases = []
    for kind, values, tokens, routing in itertools.product(moe.TYPES, LENGTHS, COLUMNS, ROUTINGS):
        if fits(kind, values):
            compute = 800 if (tokens + values // 64) % 2 else 900
            cases.append(Case(kind, values, tokens, routing, compute=compute))
    return cases


def pairwise(cases: list[Case]) -> list[Case]:
    """Choose few cases that together hold every pair of properties the full matrix holds."""

    def pairs(case: Case) -> set[tuple[object, object]]:
        names = ("kind", "values", "tokens", "routing", "compute")
        return set(itertools.combinations([(name, getattr(case, name)) for name in names], 2))

    missing = set().union(*(pairs(case) for case in cases))
    chosen = []
    while missing:
        best = max(cases, key=lambda case: len(pairs(case) & missing))
        chosen.append(best)
        missing -= pairs(best)
    return chosen


CASES = all_cases() if moe.FULL else pairwise(all_cases())


def name_of(case: Case) -> str:
    return f"{case.kind}-{case.values}-{case.tokens}-{case.routing}-{case.compute}"


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_products_agree_with_ggml(emulator: Emulator, case: Case) -> None:
    layer = Layer(case, emulator)
    found, truth = layer.run(moe.MATMUL), layer.up_truth()
    assert np.isfinite(found).all()
    if case.routing == "none":
        assert not found.any()
        return
    assert normalised_error(found, truth) < LARGEST_ERROR
    # No single output may hide behind the mean.
    assert np.abs(found - truth).max() < 0.05 * np.abs(truth).max()


@pytest.mark.parametrize("kind", moe.TYPES)
def test_gate_and_up_are_joined(emulator: Emulator, kind: str) -> None:
    case = Case(kind, 768, 5, biased=True, rows=48)
    layer = Layer(case, emulator)
    assert normalised_error(layer.run(moe.GATE_UP), layer.gate_up_truth()) < LARGEST_ERROR


@pytest.mark.parametrize("activation", range(4))
def test_activations_are_those_of_ggml(emulator: Emulator, activation: int) -> None:
    case = Case("MXFP4", 2880, 3, biased=True, activation=activation)
    layer = Layer(case, emulator)
    assert normalised_error(layer.run(moe.GATE_UP), layer.gate_up_truth()) < LARGEST_ERROR


@pytest.mark.parametrize(
    ("kind", "down"), [("Q4_K", "Q6_K"), ("MXFP4", "MXFP4"), ("IQ1_S", "Q2_K")]
)
@pytest.mark.parametrize("tokens", [9, 20])
def test_whole_feed_forward_in_several_kernels(
    emulator: Emulator, kind: str, down: str, tokens: int
) -> None:
    case = Case(kind, 768, tokens, down_kind=down, rows=256, biased=kind == "MXFP4")
    layer = Layer(case, emulator)
    assert normalised_error(layer.run(moe.FEED_FORWARD), layer.feed_forward_truth()) < LARGEST_ERROR


def test_down_and_sum_alone(emulator: Emulator) -> None:
    case = Case("Q5_K", 768, 6, down_kind="Q5_K", rows=512)
    layer = Layer(case, emulator)
    rows = np.random.default_rng(3).normal(0, 1, (12, 512)).astype(np.float32)
    found = layer.run(moe.DOWN_SUM, rows)
    assert normalised_error(found, layer.down_truth(rows.astype(np.float64))) < LARGEST_ERROR


def test_shared_expert_is_one_more_slot(emulator: Emulator) -> None:
    case = Case("Q4_K", 768, 11, down_kind="Q6_K", rows=256, shared=True)
    layer = Layer(case, emulator)
    assert normalised_error(layer.run(moe.FEED_FORWARD), layer.feed_forward_truth()) < LARGEST_ERROR


@pytest.mark.parametrize("case", [
    Case("Q6_K", 2048, 9, "random", experts=6, rows=80),
    Case("MXFP4", 1408, 33, "one", rows=80, compute=800),
])  # fmt: skip
def test_same_bits_in_every_order(emulator: Emulator, case: Case) -> None:
    results = set()
    for seed in range(6):
        emulator.seed(seed)
        results.add(Layer(case, emulator).run(moe.GATE_UP).tobytes())
    assert len(results) == 1


@pytest.mark.emulated
def test_no_tokens_is_nothing_to_do(emulator: Emulator) -> None:
    emulator.counts()
    assert Layer(Case("Q4_K", 768, 0), emulator).run(moe.MATMUL).size == 0
    assert emulator.counts()["launches"] == 0


@pytest.mark.emulated
@pytest.mark.parametrize("kind", ["Q4_K", "Q6_K", "MXFP4", "IQ2_XXS"])
def test_each_distinct_expert_is_read_once(emulator: Emulator, kind: str) -> None:
    case = Case(kind, 2048, 8, "random", experts=6, rows=64)
    layer = Layer(case, emulator)
    layer.op(moe.MATMUL)
    emulator.counts()
    layer.run(moe.MATMUL)
    distinct = len(np.unique(case.ids()))
    need = distinct * layer.up.blocks[0].nbytes
    # Rows begin where they begin: up to 30 bytes more per row and piece are copied along.
    assert need <= emulator.counts()["copied_bytes"] < 1.1 * need


def test_wrong_shapes_are_refused_with_a_reason(emulator: Emulator) -> None:
    device = emulator.device()

    def reason(**changes: object) -> str | None:
        op = Layer(Case("Q4_K", 768, 2), emulator).op(moe.MATMUL)
        for name, value in changes.items():
            target = op.up if hasattr(op.up, name) else op
            setattr(target, name, value)
        said = emulator.table.supports(op, device)
        return None if said is None else said.decode()

    assert reason() is None
    assert "type" in str(reason(type=3))
    assert "multiple of 16" in str(reason(rows=33))
    assert "follow one another" in str(reason(row_bytes=500))
    assert "whole number" in str(reason(columns=700))
    assert "overlap" in str(reason(expert_bytes=10))
    assert "distance" in str(reason(expert_bytes=32 * 432 + 8))
    assert "more tokens" in str(reason(tokens=5000))
    assert "another version" in str(reason(struct_bytes=8))
    assert "multiple of 16 bytes" in str(reason(data=4104))
    old = emulator.device()
    old.compute = 750
    op = Layer(Case("Q4_K", 768, 2), emulator).op(moe.MATMUL)
    assert b"Ampere" in emulator.table.supports(op, old)
    op.up.rows = 24
    with pytest.raises(EmulatorError, match="16"):
        emulator.run(op, device)
