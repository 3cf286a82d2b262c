"""The tile list and the router in the emulator."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

from doubles import moe
from doubles.moe import Emulator, Integers


def make_plan(
    emulator: Emulator, ids: Integers, experts: int, width: int, shared: bool
) -> tuple[list[tuple[int, int, int]], list[int], list[int]]:
    """Return tiles (expert, first, count), the order of pairs, and the bounds of the bins."""
    tokens, slots = ids.shape
    shape = (tokens, slots, experts, int(shared), width)
    size = emulator.table.plan_layout(None, *shape).bytes
    plan = emulator.table.plan_layout(emulator.room(size), *shape)
    device = emulator.device()
    status = emulator.table.run_plan(plan, emulator.put(ids), slots, *shape, device)
    assert status == 0, emulator.table.last_error()
    count = int(emulator.get(plan.tile_count, (1,), np.int32)[0])
    assert count <= plan.tile_limit
    tiles = emulator.get(plan.tiles, (count, 4), np.int32)[:, :3]
    order = emulator.get(plan.order, (plan.pairs,), np.int32)
    bounds = emulator.get(plan.bounds, (experts + 3,), np.int32)
    return [tuple(tile) for tile in tiles.tolist()], order.tolist(), bounds.tolist()


def expected(ids: Integers, experts: int, width: int, shared: bool) -> tuple[list, list, list]:
    flat = ids.reshape(-1)
    bins = np.where((flat >= 0) & (flat < experts), flat, experts + 1)
    pairs = list(range(flat.size))
    if shared:
        bins = np.concatenate([bins, np.full(len(ids), experts)])
        pairs += range(flat.size, flat.size + len(ids))
    order = [pairs[i] for i in np.argsort(bins, kind="stable")]
    bounds = [int((bins < each).sum()) for each in range(experts + 3)]
    tiles = []
    for each in range(experts + 2):
        for first in range(bounds[each], bounds[each + 1], width):
            name = -1 if each == experts + 1 else each
            tiles.append((name, first, min(width, bounds[each + 1] - first)))
    return tiles, order, bounds


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("tokens", "slots", "experts", "width", "shared"), [
    (1, 8, 384, 8, True),
    (64, 8, 384, 16, False),
    (300, 4, 128, 128, True),
    (33, 1, 4, 32, False),
    (70, 8, 16, 8, False),
])  # fmt: skip
def test_the_list_is_the_sorted_one(
    emulator: Emulator, tokens: int, slots: int, experts: int, width: int, shared: bool, seed: int
) -> None:
    emulator.seed(seed)
    source = np.random.default_rng(seed)
    ids = source.integers(-1, experts + 2, (tokens, slots), dtype=np.int32)
    found = make_plan(emulator, ids, experts, width, shared)
    assert found == expected(ids, experts, width, shared)


def test_all_tokens_to_one_expert(emulator: Emulator) -> None:
    ids = np.full((50, 2), 7, np.int32)
    found = make_plan(emulator, ids, 9, 32, False)
    assert found == expected(ids, 9, 32, False)
    assert [count for _, _, count in found[0]] == [32, 32, 32, 4]


def test_a_plan_of_nonsense_is_refused(emulator: Emulator) -> None:
    plan = emulator.table.plan_layout(None, 1, 1, 4, 0, 8)
    assert emulator.table.run_plan(plan, 0, 1, 1, 1, 600, 0, 8, emulator.device()) != 0
    assert b"no plan" in emulator.table.last_error()


# --- the router ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Routing:
    """What a model's router does: as in llama.cpp's build_moe_ffn."""

    experts: int
    slots: int
    scoring: int = moe.SOFTMAX
    biased: bool = False
    groups: int = 1
    groups_used: int = 1
    normalise: bool = True
    scale: float = 1.0


MODELS = {
    "Kimi K2": Routing(384, 8, moe.SIGMOID, biased=True, scale=2.827),
    "DeepSeek V3": Routing(256, 8, moe.SIGMOID, True, groups=8, groups_used=4, scale=2.5),
    "gpt-oss": Routing(128, 4, moe.SOFTMAX_CHOSEN, normalise=False),
    "Qwen3 30B": Routing(128, 8),
    "GLM 4.5 Air": Routing(128, 8, moe.SIGMOID, True, scale=1.0),
    "Mixtral": Routing(8, 2),
    "576 experts": Routing(576, 10),
}


def route(logits: npt.NDArray[np.float64], bias: npt.NDArray[np.float64], routing: Routing):  # type: ignore[no-untyped-def]
    scores = logits
    if routing.scoring == moe.SOFTMAX:
        scores = np.exp(logits - logits.max(axis=1, keepdims=True))
        scores /= scores.sum(axis=1, keepdims=True)
    elif routing.scoring == moe.SIGMOID:
        scores = 1 / (1 + np.exp(-logits))
    compared = scores + bias
    if routing.groups > 1:
        grouped = compared.reshape(len(logits), routing.groups, -1)
        worth = np.sort(grouped, axis=2)[:, :, -2:].sum(axis=2)
        kept = np.argsort(-worth, axis=1, kind="stable")[:, : routing.groups_used]
        mask = np.full(grouped.shape, -np.inf)
        np.put_along_axis(mask, kept[:, :, None], 0, axis=1)
        compared = (grouped + mask).reshape(logits.shape)
    ids = np.argsort(-compared, axis=1, kind="stable")[:, : routing.slots]
    weights = np.take_along_axis(scores, ids, axis=1)
    if routing.scoring == moe.SOFTMAX_CHOSEN:
        weights = np.exp(weights - weights.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
    if routing.normalise:
        weights = weights / np.maximum(weights.sum(axis=1, keepdims=True), 6.103515625e-5)
    return ids, weights * routing.scale


def run_router(
    emulator: Emulator,
    logits: npt.NDArray[np.float32],
    bias: npt.NDArray[np.float32],
    routing: Routing,
):  # type: ignore[no-untyped-def]
    tokens, stride = len(logits), routing.slots + 3
    ids, weights = emulator.room(4 * tokens * stride), emulator.room(4 * tokens * routing.slots)
    router = moe.Router(
        ctypes.sizeof(moe.Router), routing.scoring, emulator.put(logits),
        emulator.put(bias) if routing.biased else None, ids, stride, weights, tokens,
        routing.experts, routing.slots, routing.groups, routing.groups_used,
        int(routing.normalise), 6.103515625e-5, routing.scale,
    )  # fmt: skip
    device = emulator.device()
    assert emulator.table.router_supports(router, device) is None
    assert emulator.table.run_router(router, device) == 0, emulator.table.last_error()
    found = emulator.get(ids, (tokens, stride), np.int32)[:, : routing.slots]
    return found, emulator.get(weights, (tokens, routing.slots), np.float32)


@pytest.mark.parametrize("name", MODELS)
def test_router_of_each_model(emulator: Emulator, name: str) -> None:
    routing = MODELS[name]
    source = np.random.default_rng(5)
    logits = source.normal(0, 2, (9, routing.experts)).astype(np.float32)
    bias = source.normal(0, 0.2, routing.experts).astype(np.float32)
    ids, weights = run_router(emulator, logits, bias, routing)
    used = bias.astype(np.float64) if routing.biased else np.zeros(routing.experts)
    wanted, worth = route(logits.astype(np.float64), used, routing)
    assert (ids == wanted).all()
    assert np.allclose(weights, worth, rtol=1e-4, atol=1e-6)


def test_equal_scores_go_to_the_lower_number(emulator: Emulator) -> None:
    logits = np.zeros((2, 384), np.float32)
    ids, weights = run_router(emulator, logits, logits[0], Routing(384, 8, moe.SIGMOID))
    assert ids.tolist() == [list(range(8))] * 2
    assert np.allclose(weights, 1 / 8)


def test_not_a_number_still_gives_distinct_experts(emulator: Emulator) -> None:
    logits = np.full((1, 128), np.nan, np.float32)
    ids, _ = run_router(emulator, logits, logits[0], Routing(128, 8, moe.SIGMOID))
    assert sorted(set(ids[0].tolist())) == sorted(ids[0].tolist())
    assert ((ids >= 0) & (ids < 128)).all()


@pytest.mark.parametrize(("changes", "reason"), [
    ({"experts": 600}, "more than 576"),
    ({"slots": 40}, "more than 32"),
    ({"groups": 7}, "do not divide"),
    ({"groups": 64, "groups_used": 4}, "do not divide"),
    ({"groups": 8, "groups_used": 0}, "number of groups"),
    ({"scoring": 9}, "way of scoring"),
    ({"struct_bytes": 1}, "another version"),
])  # fmt: skip
def test_router_says_why_not(emulator: Emulator, changes: dict[str, int], reason: str) -> None:
    router = moe.Router(struct_bytes=ctypes.sizeof(moe.Router), tokens=1, experts=384, slots=8)
    router.ids_stride = 8
    router.groups = router.groups_used = 1
    device = emulator.device()
    assert emulator.table.router_supports(router, device) is None
    for field, value in changes.items():
        setattr(router, field, value)
    if changes.get("slots"):
        router.ids_stride = 64
    assert reason in emulator.table.router_supports(router, device).decode()
