"""Build the two libraries of the pack and put them side by side."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from bootstrap import environment, file_lock, machine_facts, native_build
from bootstrap.build_plan import Toolkit
from bootstrap.progress import Counter, SetupError, say
from gpu_pack.sources import assemble

NEEDED_BYTES = 6_000_000_000
# Code for the A100 and the H100 families, and PTX that newer GPUs translate for themselves.
ARCHITECTURES = "80-real;90-real;90-virtual"


@dataclass(frozen=True, slots=True)
class Options:
    """What the pack is built for.

    architectures: as CMAKE_CUDA_ARCHITECTURES has them; each costs as much time again.
    flash_attention: off nearly halves the time, for trying the expert kernels.
    """

    architectures: str = ARCHITECTURES
    flash_attention: bool = True


def build(checkout: native_build.Checkout, cache: Path, options: Options) -> Path:
    """Return the folder of the finished pack.

    Raises: SetupError: no toolkit, a patch that does not fit, or the compiler's own last lines.
    """
    toolkit = machine_facts.find_toolkit()
    if toolkit is None:
        raise SetupError(
            "The GPU pack needs a CUDA toolkit, and no nvcc was found.",
            "Install one (12.4 or newer) or set CUDA_HOME. No GPU is needed to build.",
        )
    environment.require_disk(cache, NEEDED_BYTES, "Building the GPU pack")
    place = cache / "gpu-pack"
    with file_lock.hold(place / "lock", "the build of the GPU pack"):
        cublas = None if toolkit.has_cublas else f"cuda{toolkit.version[0]}"
        tools = native_build.build_tools(checkout, cache, cublas)
        package = native_build.source_package(checkout, cache, tools)
        assemble(package, checkout.kernels, place / "src")
        started = time.monotonic()
        defines = _defines(toolkit, options, place / "src", cublas, tools)
        _configure(checkout, place, tools, defines)
        _compile(place, tools)
        _compile_kernels(checkout, place, tools, toolkit, options)
        say(f"Compiled in {(time.monotonic() - started) / 60:.1f} min")
        return _collect(place, toolkit, options)


def _defines(
    toolkit: Toolkit, options: Options, ggml: Path, cublas: str | None, tools: Path
) -> dict[str, str]:
    return {
        "CMAKE_BUILD_TYPE": "Release",
        "GGML_SOURCE": str(ggml),
        "GGML_CUDA": "ON",
        "GGML_BACKEND_DL": "ON",
        "GGML_NATIVE": "OFF",
        "GGML_OPENMP": "OFF",
        "GGML_CUDA_NCCL": "OFF",
        # Without it the library would be linked to the driver, which a build machine lacks.
        "GGML_CUDA_NO_VMM": "ON",
        "GGML_CUDA_GRAPHS": "ON",
        "GGML_CUDA_FA": "ON" if options.flash_attention else "OFF",
        "GGML_CUDA_FA_QUANTS": "f16-f16",
        "CMAKE_CUDA_COMPILER": toolkit.nvcc,
        "CMAKE_CUDA_ARCHITECTURES": options.architectures,
        **native_build.cublas_defines(cublas, tools),
    }


def _configure(
    checkout: native_build.Checkout, place: Path, tools: Path, defines: dict[str, str]
) -> None:
    arguments = [str(tools / "bin/cmake"), "-S", str(checkout.kernels / "pack"),
                 "-B", str(place / "tree"), "-G", "Ninja"]  # fmt: skip
    arguments += [f"-D{name}={value}" for name, value in defines.items()]
    log = place / "configure.log"
    if native_build.run_logged(arguments, tools, log, Counter("Configuring"), jobs=1) != 0:
        raise environment.explain(log, "The GPU pack could not be configured.")


def _compile(place: Path, tools: Path) -> None:
    jobs = os.cpu_count() or 1
    arguments = [str(tools / "bin/ninja"), "-C", str(place / "tree"), f"-j{jobs}",
                 "ggml-cuda"]  # fmt: skip
    log = place / "build.log"
    counter = Counter("Building the GPU pack (once, an hour or more on two cores)")
    if native_build.run_logged(arguments, tools, log, counter, jobs=jobs) != 0:
        raise environment.explain(log, "The GPU pack could not be built.")


def _compile_kernels(
    checkout: native_build.Checkout, place: Path, tools: Path, toolkit: Toolkit, options: Options
) -> None:
    jobs = os.cpu_count() or 1
    real = [name.removesuffix("-real") for name in options.architectures.split(";")]
    numbers = " ".join(name for name in real if name.isdecimal())
    arguments = ["make", "-C", str(checkout.kernels), f"-j{jobs}", "cuda",
                 f"BUILD={place / 'kernels'}", f"NVCC={toolkit.nvcc}",
                 f"ARCHITECTURES={numbers}"]  # fmt: skip
    log = place / "kernels.log"
    say("Compiling the expert kernels …")
    if native_build.run_logged(arguments, tools, log, Counter("Expert kernels"), jobs=jobs) != 0:
        raise environment.explain(log, "The expert kernels could not be built.")


def _collect(place: Path, toolkit: Toolkit, options: Options) -> Path:
    fresh, pack = place / "pack.part", place / "pack"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    shutil.copy(place / "tree/pack/libggml-cuda.so", fresh)
    shutil.copy(place / "kernels/libmoe_kernels.so", fresh)
    about = {
        "llama_cpp": native_build.SOURCE_NAME,
        "toolkit": ".".join(map(str, toolkit.version)),
        **asdict(options),
    }
    (fresh / "pack.json").write_text(json.dumps(about, indent=1))
    shutil.rmtree(pack, ignore_errors=True)
    fresh.rename(pack)
    return pack
