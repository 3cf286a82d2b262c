"""The whole feed-forward part in one launch, in the emulator: all blocks wait for one another."""

from __future__ import annotations

from dataclasses import replace

import pytest

from doubles import moe
from doubles.moe import Emulator, normalised_error
from doubles.moe_cases import Case, Layer

LARGEST_ERROR = 5e-4
PAIRS = [
    *((kind, kind) for kind in moe.TYPES),
    ("Q4_K", "Q6_K"),
    ("Q4_K", "Q5_K"),
    ("Q5_K", "Q6_K"),
    ("Q3_K", "Q4_K"),
    ("Q3_K", "Q5_K"),
    ("Q2_K", "Q3_K"),
    ("IQ2_XXS", "Q2_K"),
    ("IQ1_S", "IQ2_XXS"),
    ("IQ1_M", "IQ2_XXS"),
]


@pytest.mark.parametrize(("kind", "down"), PAIRS, ids=lambda name: name)
def test_every_pair_of_types(emulator: Emulator, kind: str, down: str) -> None:
    tokens = 1 + len(kind + down) % 8
    compute = 800 if tokens % 2 else 900
    case = Case(kind, 768, tokens, down_kind=down, rows=256, hidden=112, compute=compute)
    layer = Layer(case, emulator)
    emulator.counts()
    found = layer.run(moe.FEED_FORWARD)
    assert emulator.counts().get("launches", 2) == 2  # prepare, and all the rest
    assert normalised_error(found, layer.feed_forward_truth()) < LARGEST_ERROR


GPT_OSS = Case("MXFP4", 2880, 4, biased=True, activation=moe.SWIGLU_OAI, rows=416, hidden=112)


@pytest.mark.parametrize("case", [
    GPT_OSS,
    replace(GPT_OSS, tokens=8, routing="one"),
    replace(GPT_OSS, routing="holes"),
    Case("Q4_K", 2048, 8, rows=512, down_kind="Q6_K", hidden=64, slots=3, shared=True),
    Case("Q4_K", 768, 3, rows=768, routing="alone", shared=True),
    Case("Q8_0", 1408, 5, rows=704, routing="alone", processors=4),
], ids=repr)  # fmt: skip
def test_routings_biases_and_shared_experts(emulator: Emulator, case: Case) -> None:
    layer = Layer(case, emulator)
    truth = layer.feed_forward_truth()
    assert normalised_error(layer.run(moe.FEED_FORWARD), truth) < LARGEST_ERROR


def test_no_expert_at_all_gives_zero(emulator: Emulator) -> None:
    case = Case("Q4_K", 768, 4, rows=256, routing="none")
    assert not Layer(case, emulator).run(moe.FEED_FORWARD).any()


def test_an_expert_named_twice_counts_twice(emulator: Emulator) -> None:
    class Twice(Case):
        def ids(self) -> moe.Integers:
            ids = super().ids()
            ids[:, 1] = ids[:, 0]
            return ids

    layer = Layer(Twice("Q4_K", 768, 8, rows=256, slots=3), emulator)
    truth = layer.feed_forward_truth()
    assert normalised_error(layer.run(moe.FEED_FORWARD), truth) < LARGEST_ERROR


def test_same_bits_in_every_order_and_close_to_the_separate_kernels(emulator: Emulator) -> None:
    case = Case("Q4_K", 768, 6, rows=512, down_kind="Q6_K", hidden=80, processors=3)
    results = set()
    for seed in range(5):
        emulator.seed(seed)
        results.add(Layer(case, emulator).run(moe.FEED_FORWARD).tobytes())
    assert len(results) == 1
    fused = Layer(case, emulator).run(moe.FEED_FORWARD)
    assert emulator.table.set_enabled(b"stream") == 0
    emulator.counts()
    separate = Layer(case, emulator).run(moe.FEED_FORWARD)
    assert emulator.counts().get("launches", 5) == 5
    assert normalised_error(fused, separate) < 1e-9


@pytest.mark.emulated
def test_weights_are_read_once(emulator: Emulator) -> None:
    case = Case("Q4_K", 2048, 1, rows=512, hidden=128, experts=4, slots=2)
    layer = Layer(case, emulator)
    layer.op(moe.FEED_FORWARD)
    emulator.counts()
    layer.run(moe.FEED_FORWARD)
    need = 2 * (2 * layer.up.blocks[0].nbytes + layer.down.blocks[0].nbytes)
    assert emulator.counts()["copied_bytes"] == need  # rows of Q4_K begin at multiples of 16


def test_the_switch_counts_its_changes(emulator: Emulator) -> None:
    table = emulator.table
    names = [table.kernel_name(index).decode() for index in range(table.kernel_count())]
    assert names == ["stream", "feed_forward", "router", "plan"]
    before = table.generation()
    assert table.set_enabled(b"router,stream") == 0
    assert [table.kernel_enabled(index) for index in range(4)] == [1, 0, 1, 0]
    assert table.set_enabled(b"router,stream") == 0
    assert table.generation() == before + 1
    assert table.set_enabled(b"router,nothing") == -1
    assert [table.kernel_enabled(index) for index in range(4)] == [1, 0, 1, 0]
    assert table.set_enabled(b"0") == 0
    op = Layer(Case("Q4_K", 768, 2, rows=256), emulator).op(moe.MATMUL)
    assert b"switched off" in table.supports(op, emulator.device())
