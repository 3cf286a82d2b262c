"""The decision how llama.cpp is built, and what makes a kept wheel valid."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.build_plan import Driver, MachineFacts, Toolkit, decide, tree_key, wheel_key

H100 = Driver((13, 0), ("NVIDIA H100",), ("90",))
TOOLKIT = Toolkit("/usr/local/cuda/bin/nvcc", (13, 0), has_cublas=True)
BARE = MachineFacts("g++ 12.2", "x86_64-abc", cpus=8, memory_bytes=32 * 1024**3)


def facts(**changes: object) -> MachineFacts:
    return dataclasses.replace(BARE, **changes)  # type: ignore[arg-type]


def test_a_plain_machine_builds_for_the_cpu_and_says_why() -> None:
    plan = decide(facts(driver_problem="no NVIDIA driver was found (libcuda.so.1)"))
    assert plan.backend == "cpu"
    assert plan.reason == "No NVIDIA driver was found (libcuda.so.1)."
    assert plan.defines["GGML_NATIVE"] == "ON"
    assert "GGML_CUDA" not in plan.defines


def test_toolkit_without_driver_builds_for_the_cpu() -> None:
    plan = decide(facts(toolkit=TOOLKIT, driver_problem="no NVIDIA driver was found"))
    assert plan.backend == "cpu"
    assert plan.reason == "CUDA toolkit 13.0 was found, but no NVIDIA driver was found."


def test_driver_without_toolkit_says_what_to_install() -> None:
    plan = decide(facts(driver=H100))
    assert plan.backend == "cpu"
    assert "NVIDIA H100" in plan.reason
    assert "Install a toolkit up to version 13.x" in plan.reason


def test_toolkit_and_driver_build_cuda_for_the_devices_found() -> None:
    two_kinds = Driver((13, 0), ("A", "B", "B"), ("90", "86", "86"))
    plan = decide(facts(toolkit=TOOLKIT, driver=two_kinds))
    assert plan.backend == "cuda"
    assert plan.architectures == ("86", "90")
    assert plan.defines["CMAKE_CUDA_ARCHITECTURES"] == "86-real;90-real"
    assert plan.defines["CMAKE_CUDA_COMPILER"] == TOOLKIT.nvcc
    assert plan.cublas is None
    assert "A, 2 × B" in plan.reason
    assert "CUDA_cuda_driver_LIBRARY" not in plan.defines
    located = dataclasses.replace(two_kinds, library="/usr/lib/libcuda.so.570")
    defines = decide(facts(toolkit=TOOLKIT, driver=located)).defines
    assert defines["CUDA_cuda_driver_LIBRARY"] == "/usr/lib/libcuda.so.570"


@pytest.mark.parametrize(("version", "wheel"), [((12, 6), "cuda12"), ((13, 1), "cuda13")])
def test_cublas_comes_from_the_wheel_of_the_toolkits_major(
    version: tuple[int, int], wheel: str
) -> None:
    toolkit = Toolkit("nvcc", version, has_cublas=False)
    assert decide(facts(toolkit=toolkit, driver=H100)).cublas == wheel


@pytest.mark.parametrize(
    ("toolkit_version", "driver", "words"),
    [
        ((13, 0), Driver((12, 4), ("L4",), ("89",)), "newer than the driver"),
        ((11, 8), H100, "older than 12.4"),
        ((13, 0), Driver((13, 0), ("V100",), ("70",)), "compute capability 7.0"),
        ((13, 0), Driver((13, 0), (), ()), "was found, but"),
    ],
)
def test_toolkits_that_cannot_serve_the_device_are_refused_with_the_reason(
    toolkit_version: tuple[int, int], driver: Driver, words: str
) -> None:
    plan = decide(facts(toolkit=Toolkit("nvcc", toolkit_version, has_cublas=True), driver=driver))
    assert plan.backend == "cpu"
    assert words in plan.reason


def test_an_old_device_beside_a_usable_one_does_not_prevent_cuda() -> None:
    mixed = Driver((13, 0), ("V100", "H100"), ("70", "90"))
    plan = decide(facts(toolkit=TOOLKIT, driver=mixed))
    assert plan.backend == "cuda"
    assert plan.architectures == ("90",)


def test_the_person_can_ask_for_the_cpu() -> None:
    plan = decide(facts(toolkit=TOOLKIT, driver=H100, forced_cpu=True))
    assert plan.backend == "cpu"
    assert "FREEHOLD_BACKEND=cpu" in plan.reason


@given(
    cpus=st.integers(1, 512),
    memory=st.integers(0, 2 * 1024**4),
    toolkit=st.sampled_from([None, TOOLKIT]),
    driver=st.sampled_from([None, H100]),
)
def test_jobs_fit_processors_and_memory(
    cpus: int, memory: int, toolkit: Toolkit | None, driver: Driver | None
) -> None:
    plan = decide(facts(cpus=cpus, memory_bytes=memory, toolkit=toolkit, driver=driver))
    assert 1 <= plan.jobs <= cpus
    per_job = 3 * 1024**3 if plan.backend == "cuda" else 1024**3
    assert plan.jobs == 1 or plan.jobs * per_job <= memory


def test_a_tree_belongs_to_compiler_processor_source_and_backend() -> None:
    def key(source: str = "a", **changes: object) -> str:
        changed = facts(**changes)
        return tree_key(decide(changed), changed, source)

    assert key() == key(cpus=64)  # how many processors build it is no matter
    others = [
        key("b"),
        key(compiler_version="g++ 13"),
        key(cpu_target="x86_64-def"),
        key(toolkit=TOOLKIT, driver=H100),
    ]
    assert len({key(), *others}) == 5
    # A toolkit that is not used does not make the tree another one.
    assert key() == key(toolkit=TOOLKIT)


def test_a_wheel_belongs_to_its_tree_and_kernel_sources() -> None:
    kernels = {"chat/a.cpp": b"1", "chat/b.cpp": b"2"}
    key = wheel_key("tree", kernels)
    assert key == wheel_key("tree", dict(reversed(kernels.items())))
    assert key != wheel_key("other", kernels)
    assert key != wheel_key("tree", {**kernels, "chat/b.cpp": b"3"})
    assert key != wheel_key("tree", {"chat/a.cpp": b"1", "chat/c.cpp": b"2"})
