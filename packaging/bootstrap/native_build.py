"""Build llama.cpp with this project's own libraries as a wheel, once per content.

The cache folder keeps the source (`src`), one build tree per backend (`tree-cpu`, `tree-cuda`),
the build tools (`tools-…`) and finished wheels by key (`wheels/KEY`). A tree belongs to one
compiler, processor and set of options (`tree.json` beside it); when those change it is made anew,
when only this project's kernels change the tree stays and the build is incremental.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tarfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bootstrap import build_plan, environment, file_lock, machine_facts
from bootstrap.progress import Counter, SetupError, say
from bootstrap.stages import digest_files

STEP = re.compile(r"^\s*\[(\d+)/(\d+)\]")
SOURCE_NAME = "llama_cpp_python-0.3.36"
KEPT_WHEELS = 6


@dataclass(frozen=True, slots=True)
class Checkout:
    """The places of one clone that the build reads."""

    root: Path

    @property
    def requirements(self) -> Path:
        return self.root / "packaging/requirements"

    @property
    def kernels(self) -> Path:
        return self.root / "kernels"

    def kernel_files(self) -> dict[str, bytes]:
        """Return this project's sources that go into the native build, by relative path."""
        files: dict[str, bytes] = {}
        for folder in ("cmake", "chat"):
            for path in sorted((self.kernels / folder).rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts:
                    files[str(path.relative_to(self.kernels))] = path.read_bytes()
        return files


@dataclass(frozen=True, slots=True)
class Built:
    """A finished wheel and the decision behind it."""

    wheel: Path
    key: str
    plan: build_plan.BuildPlan
    facts: build_plan.MachineFacts

    def decision(self) -> dict[str, object]:
        """Return what `freehold doctor` tells about the build."""
        return {
            "backend": self.plan.backend,
            "reason": self.plan.reason,
            "architectures": list(self.plan.architectures),
            "toolkit": asdict(self.facts.toolkit) if self.facts.toolkit else None,
            "driver": asdict(self.facts.driver) if self.facts.driver else None,
            "compiler": self.facts.compiler_version,
            "key": self.key,
        }


def cache_folder() -> Path:
    """Return where the build is kept between clones: FREEHOLD_BUILD_CACHE or the XDG cache."""
    chosen = os.environ.get("FREEHOLD_BUILD_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    xdg = os.environ.get("XDG_CACHE_HOME")
    return (Path(xdg) if xdg else Path.home() / ".cache") / "freehold-build"


def fingerprint(checkout: Checkout) -> str:
    """Return text that changes whenever the wheel may have to be another one; cheap."""
    kernels = build_plan.wheel_key("", checkout.kernel_files())
    pins = digest_files([checkout.requirements / "native.txt"])
    return json.dumps({"kernels": kernels, "pins": pins, **machine_facts.outline()})


def build(checkout: Checkout, cache: Path) -> Built:
    """Return the wheel for this machine and these sources, building it if it is not kept.

    Raises: SetupError: no compiler, no disk, no network, or the build's own last lines.
    """
    facts = machine_facts.look()
    plan = build_plan.decide(facts)
    pins = checkout.requirements / "native.txt"
    tree = build_plan.tree_key(plan, facts, digest_files([pins]))
    key = build_plan.wheel_key(tree, checkout.kernel_files())
    kept = cache / "wheels" / key
    with file_lock.hold(cache / "lock", "the native build"):
        wheel = next(kept.glob("*.whl"), None)
        if wheel is None:
            wheel = _build_wheel(checkout, cache, plan, tree, kept)
        os.utime(kept)
        _forget_old_wheels(cache / "wheels")
    return Built(wheel, key, plan, facts)


def _build_wheel(
    checkout: Checkout, cache: Path, plan: build_plan.BuildPlan, tree_key: str, kept: Path
) -> Path:
    say(f"Building llama.cpp for {plan.backend.upper()}: {plan.reason}")
    environment.require_disk(cache, plan.needed_bytes, "Building llama.cpp")
    tools = build_tools(checkout, cache, plan.cublas)
    source = source_package(checkout, cache, tools)
    tree = cache / f"tree-{plan.backend}"
    from_scratch = _claim_tree(tree, tree_key)
    defines = {
        **plan.defines,
        "CMAKE_PROJECT_llama_cpp_INCLUDE": str(checkout.kernels / "cmake/freehold.cmake"),
        **cublas_defines(plan.cublas, tools),
    }
    unfinished = kept.with_suffix(".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    started = time.monotonic()
    label = "Building llama.cpp (once, about 8 minutes on two cores)"
    counter = Counter(label if from_scratch else "Building what changed")
    log = cache / "logs/build.log"
    _run_build(tools, source, tree, defines, plan.jobs, unfinished, log, counter)
    shutil.rmtree(kept, ignore_errors=True)
    unfinished.rename(kept)
    say(f"Built llama.cpp in {(time.monotonic() - started) / 60:.1f} min")
    return next(kept.glob("*.whl"))


def build_tools(checkout: Checkout, cache: Path, cublas: str | None) -> Path:
    """Return an environment with CMake, Ninja and the build back end (and cuBLAS if needed).

    cublas: the requirement file that brings it ("cuda13"), None where the toolkit has it.
    """
    wanted = [checkout.requirements / "build.txt"]
    if cublas:
        wanted.append(checkout.requirements / f"{cublas}.txt")
    folder = cache / f"tools-{digest_files(wanted)[:8]}"
    if not (folder / "complete").exists():
        environment.make(folder)
        environment.install(folder, wanted, "build tools (CMake, Ninja)", cache / "logs/tools.log")
        (folder / "complete").touch()
    return folder


def source_package(checkout: Checkout, cache: Path, tools: Path) -> Path:
    """Return the unpacked source package, downloaded and checked by pip against its hash."""
    source = cache / "src" / SOURCE_NAME
    if (source / "pyproject.toml").exists():
        return source
    say("Downloading the source of llama.cpp (about 70 MB) …")
    downloads = cache / "downloads"
    environment.pip(
        tools,
        ["download", "--no-deps", "--no-build-isolation", "--no-binary", "llama-cpp-python",
         "--require-hashes", "-r", str(checkout.requirements / "native.txt"),
         "-d", str(downloads)],
        cache / "logs/download.log",
    )  # fmt: skip
    archive = downloads / f"{SOURCE_NAME}.tar.gz"
    unpacking = cache / "src.part"
    shutil.rmtree(unpacking, ignore_errors=True)
    with tarfile.open(archive) as package:
        package.extractall(unpacking, filter="data")
    source.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(source, ignore_errors=True)
    (unpacking / SOURCE_NAME).rename(source)
    shutil.rmtree(unpacking, ignore_errors=True)
    archive.unlink()
    return source


def _claim_tree(tree: Path, key: str) -> bool:
    """Keep a tree that was made for the same compiler and options; make any other anew.

    Return whether it is a new one.
    """
    note = tree.with_suffix(".json")
    try:
        known = json.loads(note.read_text()).get("key")
    except (OSError, ValueError):
        known = None
    if known != key:
        shutil.rmtree(tree, ignore_errors=True)
        tree.mkdir(parents=True)
        note.write_text(json.dumps({"key": key}))
    return bool(known != key)


def cublas_defines(cublas: str | None, tools: Path) -> dict[str, str]:
    """Return where CMake finds cuBLAS in the wheel, and the finished library at run time."""
    if cublas is None:
        return {}
    inside = "nvidia/cu13" if cublas == "cuda13" else "nvidia/cublas"
    root = next((tools / "lib").glob("python3.*/site-packages")) / inside
    major = cublas.removeprefix("cuda")
    return {
        "CUDA_cublas_LIBRARY": str(root / f"lib/libcublas.so.{major}"),
        "CUDA_cublasLt_LIBRARY": str(root / f"lib/libcublasLt.so.{major}"),
        "CMAKE_CUDA_FLAGS": f"-I{root / 'include'}",
        # From site-packages/llama_cpp/lib to the wheel installed beside it.
        "FREEHOLD_CUDA_RPATH": f"$ORIGIN/../../{inside}/lib",
    }


def _run_build(
    tools: Path,
    source: Path,
    tree: Path,
    defines: Mapping[str, str],
    jobs: int,
    out: Path,
    log: Path,
    counter: Counter,
) -> None:
    arguments = [str(tools / "bin/python"), "-m", "pip", "--no-input", "-v", "wheel", str(source),
                 "--no-deps", "--no-build-isolation", "--no-cache-dir", "-w", str(out),
                 "-C", f"build-dir={tree}"]  # fmt: skip
    for name, value in defines.items():
        arguments += ["-C", f"cmake.define.{name}={value}"]
    status = run_logged(arguments, tools, log, counter, jobs=jobs)
    if status != 0 or not any(out.glob("*.whl")):
        error = environment.explain(log, "llama.cpp could not be built.")
        if "GGML_CUDA" in defines:
            raise SetupError(
                error.message, f"{error.next_step} `FREEHOLD_BACKEND=cpu make run` builds without."
            )
        raise error


def run_logged(
    arguments: Sequence[str], tools: Path, log: Path, counter: Counter, *, jobs: int
) -> int:
    """Run a step of a build, its output into `log` and its progress to `counter`.

    Return its exit status.
    """
    # The tools' own CMake and Ninja, whatever the system has; and no colours in the log.
    path = f"{tools / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
    settings = {"PATH": path, "CMAKE_BUILD_PARALLEL_LEVEL": str(jobs), "NO_COLOR": "1"}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as record:
        process = subprocess.Popen(
            arguments,
            env={**os.environ, **settings},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        assert process.stdout is not None
        try:
            for line in process.stdout:
                record.write(line)
                step = STEP.match(line)
                if step:
                    counter.show(int(step[1]), int(step[2]))
        except BaseException:
            process.terminate()
            process.wait()
            raise
        status = process.wait()
    counter.end()
    return status


def _forget_old_wheels(wheels: Path) -> None:
    by_age = sorted(wheels.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in by_age[KEPT_WHEELS:]:
        shutil.rmtree(path, ignore_errors=True)
