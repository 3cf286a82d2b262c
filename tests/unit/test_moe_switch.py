"""What FREEHOLD_MOE asks for, and what is said of each expert kernel."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from freehold.engine.kernels import KERNELS, PURPOSES, describe, list_kernels, read_switch
from freehold.engine.process import worker_environment

GPU = ({"kind": "CPU"}, {"kind": "GPU"})
LOADED = {
    "state": "loaded",
    "reason": "",
    "version": "1.0.0",
    "kernels": [["stream", True], ["feed_forward", False], ["router", True], ["plan", False]],
}


@pytest.mark.parametrize(("text", "on"), [
    (None, set()),
    ("0", set()),
    ("1", set(KERNELS)),
    ("stream", {"stream"}),
    ("router,stream", {"stream", "router"}),
])  # fmt: skip
def test_the_switch_is_off_on_or_a_list(text: str | None, on: set[str]) -> None:
    switch = read_switch(text)
    assert switch.on == on
    assert switch.unknown == ()


@pytest.mark.parametrize(
    "text", ["", "2", "stream, router", "stream,", "Stream", "on", "stream;router"]
)
def test_what_nobody_understands_turns_all_off(text: str) -> None:
    switch = read_switch(text)
    assert switch.on == frozenset()
    assert switch.unknown


def test_names_are_those_of_the_library() -> None:
    source = Path(__file__).parents[2] / "kernels/moe/launch/switches.cpp"
    found = re.search(r"kNames\[kKernels\] = \{(.*?)\}", source.read_text("utf-8"))
    assert found is not None
    assert tuple(re.findall(r'"(\w+)"', found[1])) == KERNELS == tuple(PURPOSES)


def test_each_kernel_says_why() -> None:
    states = list_kernels(LOADED, GPU, read_switch("stream,router"))
    assert [(state.name, state.on) for state in states] == [
        ("stream", True), ("feed_forward", False), ("router", True), ("plan", False),
    ]  # fmt: skip
    assert {state.why for state in states} == {"FREEHOLD_MOE=stream,router"}
    assert describe(states, LOADED) == "version 1.0.0, on: stream, router"


@pytest.mark.parametrize(("pack", "devices", "why"), [
    ({}, GPU, "no GPU pack is installed"),
    ({"state": "refused", "reason": "it does not load"}, GPU, "it does not load"),
    (LOADED, GPU[:1], "no GPU is seen"),
])  # fmt: skip
def test_where_none_can_be_used(pack: dict, devices: tuple, why: str) -> None:
    states = list_kernels(pack, devices, read_switch("1"))
    assert len(states) == len(KERNELS)
    assert not any(state.on for state in states)
    assert all(why in state.why for state in states)
    assert "off" in describe(states, pack)
    assert why in describe(states, pack)


def test_an_older_pack_and_a_wrong_list_are_told() -> None:
    older = {**LOADED, "kernels": [["stream", True]]}
    router = list_kernels(older, GPU, read_switch("1"))[2]
    assert (router.on, router.why) == (False, "this pack does not have it")
    wrong = list_kernels({**LOADED, "kernels": []}, GPU, read_switch("strem"))
    assert "strem" in wrong[0].why
    other = list_kernels({"state": "loaded", "reason": "other versions"}, GPU, read_switch("1"))
    assert other[0].why == "other versions"


def test_an_engine_learns_where_the_pack_is_and_what_is_wanted_but_no_secret() -> None:
    wanted = {"FREEHOLD_DATA": "/d", "FREEHOLD_GPU_PACK": "/p", "FREEHOLD_MOE": "stream"}
    given = worker_environment({**wanted, "FREEHOLD_KEY": "secret", "HF_TOKEN": "secret"})
    assert wanted.items() <= given.items()
    assert "secret" not in given.values()
