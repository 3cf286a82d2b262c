"""The planner's decisions: sums, budgets, monotony, pins, and reasons in words."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.errors import AppError
from freehold.machine.plan.budgets import DiskBudget, GpuBudget, Machine, RamBudget
from freehold.machine.plan.cutting import ExpertCuts, cut_by_shares, cut_evenly
from freehold.machine.plan.kv import KvShape, kv_bytes, kv_type
from freehold.machine.plan.planning import Sizes, make_plan
from freehold.machine.plan.question import ask
from freehold.machine.plan.shape import Layer, ModelShape
from freehold.wire_machine import VERDICTS, Parts, Plan, PlanRequest

GB = 10**9
NO_BUFFERS = Sizes({})


def moe(
    layers: int = 8, expert: int = 10 * GB, base: int = GB, *, tied: bool = False
) -> ModelShape:
    """A model whose first layer is dense and whose others have experts."""
    rows = tuple(
        Layer(
            Parts(
                attention=base // 2, shared_experts=base // 4, dense=base - base // 2 - base // 4
            ),
            expert if number else 0,
            KvShape(576, 0),
        )
        for number in range(layers)
    )
    total = base * layers + expert * (layers - 1) + 2 * base
    return ModelShape(
        name="toy", architecture="deepseek2", layers=rows, input_bytes=base, output_bytes=base,
        is_tied=tied, trained_tokens=131_072, experts=384, experts_used=8, width=7168,
        vocabulary=1000, parameters=10**12, active_parameters=10**10, file_bytes=total,
    )  # fmt: skip


def machine(*gpus: int, ram: int = 64, disk: int = 4000, reserve: int = 0) -> Machine:
    return Machine(
        tuple(GpuBudget("H100", size * GB, size * GB, reserve * GB) for size in gpus),
        RamBudget(ram * GB, ram * GB, 0),
        DiskBudget(disk * GB, disk * GB),
    )


def plan(shape: ModelShape, on: Machine, **asked: object) -> Plan:
    request = PlanRequest(ref="toy", **asked)  # type: ignore[arg-type]
    question, chosen = ask(request, shape, on)
    if "reserve_bytes" not in asked:
        chosen = dataclasses.replace(chosen, gpus=on.gpus)
    return make_plan(shape, question, chosen, NO_BUFFERS)


shapes = st.builds(
    lambda sizes, tied: dataclasses.replace(
        moe(len(sizes), tied=tied),
        layers=tuple(
            Layer(Parts(attention=base, dense=1 + base // 3), expert, KvShape(64, 64))
            for base, expert in sizes
        ),
    ),
    st.lists(
        st.tuples(st.integers(0, 5 * GB), st.sampled_from([0, GB, 7 * GB, 11 * GB])),
        min_size=1,
        max_size=9,
    ),
    st.booleans(),
)
machines = st.builds(
    lambda gpus, ram, reserve: machine(*gpus, ram=ram, reserve=reserve),
    st.lists(st.integers(1, 60), max_size=3),
    st.integers(1, 120),
    st.integers(0, 3),
)


@given(shapes, machines)
@settings(max_examples=300, deadline=None)
def test_parts_sum_up_and_stay_within_budget(shape: ModelShape, on: Machine) -> None:
    made = plan(shape, on)
    for device in made.devices:
        assert device.parts.total == device.used_bytes
        assert min(getattr(device.parts, name) for name in Parts.__struct_fields__) >= 0
        if made.verdict != "no" and device.kind != "disk":
            assert device.used_bytes <= device.free_bytes
    assert sum(device.parts.experts for device in made.devices) == shape.expert_bytes
    weights = sum(device.parts.weights for device in made.devices)
    on_gpu = any(d.kind == "gpu" and d.parts.weights for d in made.devices)
    twice = shape.output_bytes if shape.is_tied and on_gpu else 0
    assert shape.weight_bytes <= weights <= shape.weight_bytes + twice
    kv = kv_type("f16")
    cells = made.context_tokens
    assert sum(device.parts.kv_cache for device in made.devices) == sum(
        kv_bytes(layer.kv, cells, kv, kv) for layer in shape.layers
    )


@given(shapes, machines, st.integers(0, 3), st.integers(1, 40))
@settings(max_examples=300, deadline=None)
def test_more_memory_is_never_worse(shape: ModelShape, on: Machine, where: int, more: int) -> None:
    def grown(gpu: GpuBudget) -> GpuBudget:
        return dataclasses.replace(
            gpu, total_bytes=gpu.total_bytes + more * GB, free_bytes=gpu.free_bytes + more * GB
        )

    if where < len(on.gpus):
        gpus = tuple(grown(gpu) if n == where else gpu for n, gpu in enumerate(on.gpus))
        larger = dataclasses.replace(on, gpus=gpus)
    else:
        ram = RamBudget(on.ram.total_bytes + more * GB, on.ram.free_bytes + more * GB, 0)
        larger = dataclasses.replace(on, ram=ram)
    before, after = plan(shape, on).verdict, plan(shape, larger).verdict
    assert VERDICTS.index(after) <= VERDICTS.index(before)


@given(
    st.lists(st.integers(0, 20), min_size=1, max_size=6),
    st.lists(st.integers(0, 30), min_size=1, max_size=3),
)
def test_even_cuts_are_contiguous_and_exact(items: list[int], rooms: list[int]) -> None:
    cut = cut_evenly(items, rooms, 0)
    best = ExpertCuts(items, [0] * len(items), rooms).value(0)
    assert (cut is None) == (best is None)
    if cut is not None:
        assert list(cut) == sorted(cut)
        for gpu, room in enumerate(rooms):
            assert sum(i for i, g in zip(items, cut, strict=True) if g == gpu) <= room


@given(st.lists(st.integers(0, 40), min_size=1, max_size=8).filter(any))
def test_counts_as_shares_give_the_same_counts(counts: list[int]) -> None:
    cut = cut_by_shares(sum(counts), counts, len(counts))
    assert [cut.count(gpu) for gpu in range(len(counts))] == counts


def test_verdicts_from_best_to_worst() -> None:
    shape = moe()  # 70 GB of experts, 10 GB else
    assert plan(shape, machine(100)).verdict == "gpu"
    assert plan(shape, machine(40)).verdict == "gpu+ram"
    assert plan(shape, machine(ram=90)).verdict == "gpu+ram"
    assert plan(shape, machine(20, ram=16)).verdict == "disk"
    assert plan(shape, machine(ram=1), context_tokens=131_072).verdict == "no"


def test_reasons_are_sentences_with_figures() -> None:
    made = plan(moe(), machine(40, reserve=2), reserve_bytes=(2 * GB,))
    assert (
        "5 of 7 expert layers stay in RAM because GPU 0 keeps 2 GB free, with room for 2 of them."
        in made.reasons
    )
    gpu, ram, disk = made.devices
    assert gpu.parts.reserve == 2 * GB
    assert (gpu.expert_layers, ram.expert_layers, disk.expert_layers) == (2, 5, 0)
    assert made.load.overrides == (
        (r"blk\.(1|2|3|4|5)\.ffn_(up|down|gate|gate_up)_(ch|)exps", "CPU"),
    )


def test_what_ram_cannot_hold_stays_mapped() -> None:
    made = plan(moe(), machine(20, ram=16))
    assert made.load.memory == "mmap"
    assert made.load.repack is False
    assert any("read from the disk" in reason for reason in made.reasons)


def test_two_gpus_share_contiguous_layers() -> None:
    made = plan(moe(), machine(50, 50))
    assert made.verdict == "gpu"
    assert [device.layers for device in made.devices] == [4, 4, 0, 0]
    assert sum(made.load.tensor_split or ()) == 9
    assert made.load.gpu_layers == 9


def test_the_smaller_gpu_gets_less() -> None:
    made = plan(moe(), machine(70, 25))
    assert made.verdict == "gpu"
    large, small = made.devices[:2]
    assert large.used_bytes > 2 * small.used_bytes


def test_pins_are_honoured_and_marked() -> None:
    made = plan(moe(), machine(100), cpu_expert_layers=3)
    gpu, ram, _ = made.devices
    assert (gpu.expert_layers, ram.expert_layers) == (5, 2)
    assert gpu.pinned
    assert ram.pinned
    assert any(reason.startswith("Pinned by hand") for reason in made.reasons)
    made = plan(moe(), machine(100), gpu_layers=3)
    assert made.load.gpu_layers == 3
    assert made.devices[0].layers == 2
    assert not plan(moe(), machine(100)).devices[0].pinned


def test_pins_that_do_not_fit_say_what_is_lacking() -> None:
    made = plan(moe(), machine(20), cpu_expert_layers=0)
    assert made.verdict == "no"
    assert made.reasons[0].startswith("It does not fit: GPU 0 · H100 would have to hold 79")


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ({"context_tokens": 200_000}, "trained for 131,072"),
        ({"context_tokens": 1}, "trained"),
        ({"parallel": 0}, "chats at a time"),
        ({"kv_type": "q3_z"}, "KV cache type"),
        ({"devices": ("CUDA7",)}, "no GPU named"),
        ({"devices": ("0", "0")}, "twice"),
        ({"devices": (), "gpu_layers": 4}, "no GPU to use"),
        ({"gpu_layers": 99}, "More layers"),
        ({"tensor_split": (1.0, 2.0)}, "2 shares for 1"),
        ({"tensor_split": (1.0,), "gpu_layers": 0}, "gpu_layers = 0"),
        ({"split_mode": "none", "main_gpu": 3}, "main GPU is number 3"),
        ({"reserve_bytes": (-1,)}, "kept free"),
    ],
)
def test_contradictions_are_refused(asked: dict[str, object], word: str) -> None:
    with pytest.raises(AppError) as caught:
        plan(moe(), machine(100), **asked)
    assert caught.value.code == "invalid_request"
    assert word in caught.value.sentence


def test_experts_pinned_in_a_dense_model() -> None:
    dense = moe(expert=0)
    with pytest.raises(AppError, match="no experts"):
        plan(dense, machine(100), cpu_expert_layers=2)
    made = plan(dense, machine(5))
    assert made.verdict == "gpu+ram"
    assert any("layers stay in RAM because" in reason for reason in made.reasons)


def test_kv_types_take_what_their_blocks_take() -> None:
    assert kv_bytes(KvShape(576, 0), 1024, kv_type("f16"), kv_type("f16")) == 1024 * 1152
    assert kv_bytes(KvShape(512, 512), 1024, kv_type("q8_0"), kv_type("q8_0")) == 1024 * 1088
    with pytest.raises(KeyError):
        kv_type("q6_k")
    large, small = (plan(moe(), machine(100), kv_type=k).needed_bytes for k in ("f16", "q4_0"))
    assert small < large


def test_sizes_of_llama_cpp_replace_the_planners() -> None:
    question, chosen = ask(PlanRequest(ref="x"), moe(), machine(100))
    exact = make_plan(moe(), question, chosen, Sizes({"GPU 0": 5 * GB, "RAM": GB}, 3 * GB, None))
    gpu, ram, _ = exact.devices
    assert gpu.parts.compute == 5 * GB
    assert ram.parts.compute == GB
    assert gpu.parts.kv_cache == 3 * GB
