"""Decide how llama.cpp is built on a machine: pure functions of what was found there."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

GIB = 1024**3
OLDEST_TOOLKIT = (12, 4)
OLDEST_ARCHITECTURE: Mapping[int, int] = {12: 50, 13: 75}  # by the toolkit's major version

# llama.cpp's libraries alone: no programs, no web interface, no network client.
COMMON_DEFINES: Mapping[str, str] = {
    "CMAKE_BUILD_TYPE": "Release",
    "GGML_NATIVE": "ON",
    "LLAMA_BUILD_TESTS": "OFF",
    "LLAMA_BUILD_EXAMPLES": "OFF",
    "LLAMA_BUILD_TOOLS": "OFF",
    "LLAMA_BUILD_SERVER": "OFF",
    "LLAMA_OPENSSL": "OFF",
}


@dataclass(frozen=True, slots=True)
class Toolkit:
    """A CUDA toolkit: its compiler, its version and whether cuBLAS came with it."""

    nvcc: str
    version: tuple[int, int]
    has_cublas: bool


@dataclass(frozen=True, slots=True)
class Driver:
    """An NVIDIA driver: the CUDA version it speaks and its devices.

    architectures: compute capability of each device without the dot, `("90", "90")`.
    library: the file of libcuda.so.1; toolkits may lack the stub that programs link with.
    """

    cuda_version: tuple[int, int]
    device_names: tuple[str, ...]
    architectures: tuple[str, ...]
    library: str = ""


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """What decides a build.

    cpu_target: what -march=native means here; forced_cpu: the person's FREEHOLD_BACKEND=cpu.
    """

    compiler_version: str
    cpu_target: str
    cpus: int
    memory_bytes: int
    toolkit: Toolkit | None = None
    driver: Driver | None = None
    driver_problem: str = ""
    forced_cpu: bool = False


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """How to build, and why so.

    cublas: requirement file that brings cuBLAS ("cuda13"), None where the toolkit has it.
    needed_bytes: free disk the build takes at its peak.
    """

    backend: Literal["cpu", "cuda"]
    reason: str
    architectures: tuple[str, ...]
    cublas: str | None
    jobs: int
    needed_bytes: int
    defines: Mapping[str, str]


def decide(facts: MachineFacts) -> BuildPlan:
    """Return the build for a machine: CUDA where toolkit, driver and a device agree, else CPU."""
    refusal = _refuse_cuda(facts)
    if refusal is not None:
        return BuildPlan(
            backend="cpu",
            reason=refusal,
            architectures=(),
            cublas=None,
            jobs=_jobs(facts, bytes_per_job=GIB),
            needed_bytes=2 * GIB,
            defines=dict(COMMON_DEFINES),
        )
    toolkit, driver = facts.toolkit, facts.driver
    assert toolkit is not None
    assert driver is not None
    usable = {arch for arch in driver.architectures if int(arch) >= _oldest_architecture(toolkit)}
    architectures = tuple(sorted(usable, key=int))
    return BuildPlan(
        backend="cuda",
        reason=(
            f"CUDA toolkit {_dotted(toolkit.version)} and a driver for CUDA "
            f"{_dotted(driver.cuda_version)} with {_devices(driver)} were found."
        ),
        architectures=architectures,
        cublas=None if toolkit.has_cublas else f"cuda{toolkit.version[0]}",
        jobs=_jobs(facts, bytes_per_job=3 * GIB),
        needed_bytes=8 * GIB,
        defines={
            **COMMON_DEFINES,
            "GGML_CUDA": "ON",
            "CMAKE_CUDA_COMPILER": toolkit.nvcc,
            "CMAKE_CUDA_ARCHITECTURES": ";".join(f"{arch}-real" for arch in architectures),
            **({"CUDA_cuda_driver_LIBRARY": driver.library} if driver.library else {}),
        },
    )


def tree_key(plan: BuildPlan, facts: MachineFacts, source_hash: str) -> str:
    """Return the name of everything an object file depends on besides this project's kernels."""
    toolkit = facts.toolkit.version if plan.backend == "cuda" and facts.toolkit else None
    return _digest(
        {
            "source": source_hash,
            "backend": plan.backend,
            "defines": dict(plan.defines),
            "cublas": plan.cublas,
            "compiler": facts.compiler_version,
            "cpu": facts.cpu_target,  # GGML_NATIVE compiles for this very processor
            "toolkit": toolkit,
        }
    )


def wheel_key(tree: str, kernels: Mapping[str, bytes]) -> str:
    """Return the name of a finished wheel: the tree and the project's own kernel sources."""
    files = {path: hashlib.sha256(content).hexdigest() for path, content in kernels.items()}
    return _digest({"tree": tree, "kernels": files})


def _refuse_cuda(facts: MachineFacts) -> str | None:
    """Return why CUDA cannot be built here, None where it can."""
    toolkit, driver = facts.toolkit, facts.driver
    if facts.forced_cpu:
        return "FREEHOLD_BACKEND=cpu asked for it."
    if driver is None or not driver.device_names:
        problem = facts.driver_problem or "no NVIDIA driver was found"
        if toolkit is None:
            return f"{problem[0].upper()}{problem[1:]}."
        return f"CUDA toolkit {_dotted(toolkit.version)} was found, but {problem}."
    if toolkit is None:
        return (
            f"{_devices(driver)} was found, but no CUDA toolkit (nvcc) to build for it. "
            f"Install a toolkit up to version {driver.cuda_version[0]}.x and run `make run` again."
        )
    if toolkit.version < OLDEST_TOOLKIT:
        return (
            f"CUDA toolkit {_dotted(toolkit.version)} is older than {_dotted(OLDEST_TOOLKIT)}, "
            "the oldest that can build this version of llama.cpp."
        )
    if toolkit.version[0] > driver.cuda_version[0]:
        return (
            f"CUDA toolkit {_dotted(toolkit.version)} is newer than the driver, which speaks CUDA "
            f"{_dotted(driver.cuda_version)}. Update the driver or install an older toolkit."
        )
    best = max(driver.architectures, key=int)
    if int(best) < _oldest_architecture(toolkit):
        return (
            f"CUDA toolkit {_dotted(toolkit.version)} no longer builds for {_devices(driver)} "
            f"(compute capability {best[:-1]}.{best[-1]})."
        )
    return None


def _oldest_architecture(toolkit: Toolkit) -> int:
    return OLDEST_ARCHITECTURE.get(toolkit.version[0], 75)


def _jobs(facts: MachineFacts, *, bytes_per_job: int) -> int:
    """Return how many files to compile at once without running out of memory."""
    return max(1, min(facts.cpus, facts.memory_bytes // bytes_per_job))


def _devices(driver: Driver) -> str:
    counts = Counter(driver.device_names)
    return ", ".join(
        name if count == 1 else f"{count} × {name}" for name, count in sorted(counts.items())
    )


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:20]
