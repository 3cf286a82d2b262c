"""Machine code of the kernels, where there is a CUDA compiler: registers, spills, instructions.

Here one kernel for the H100 is compiled, once per content of the sources; `make kernels-check`
compiles and looks at all of them for both architectures.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from doubles.moe import KERNELS, cache_folder, sources_digest

COMPILE_WITHIN_S = 240


def load_gate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("kernel_gate", KERNELS / "bench/gate.py")
    assert spec is not None
    assert spec.loader is not None
    import sys

    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


gate = load_gate()


@pytest.fixture(scope="module")
def compiled() -> Path:
    """Return the folder of one compiled kernel and what the compiler said."""
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip("no CUDA toolkit is installed here: nvcc is not on the PATH")
    folder = cache_folder().parent / "moe" / f"{sources_digest()}-sm_90"
    target = folder / "stream_of_type_Q4K.o"
    if not target.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        command = [
            nvcc, "-std=c++17", "-O3", "-Xptxas", "-v", "-cubin", "-arch=sm_90", "-DMOE_TYPE=Q4K",
            "-o", str(folder / "part.o"), str(KERNELS / "moe/launch/stream_of_type.cu"),
        ]  # fmt: skip
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=COMPILE_WITHIN_S, check=False
        )
        if "nsupported gpu architecture" in done.stderr:
            pytest.skip("this CUDA toolkit does not know the H100")
        assert done.returncode == 0, done.stderr
        (folder / "stream_of_type_Q4K.log").write_text(done.stderr, "utf-8")
        (folder / "part.o").rename(target)
    return folder


def test_registers_are_within_limits_and_nothing_spills(compiled: Path) -> None:
    kernels = gate.read_logs(compiled)
    assert {f"sm_90 stream<Q4K, {tiles}>" for tiles in (1, 2, 4)} <= set(kernels)
    limits = tomllib.loads(gate.LIMITS.read_text("utf-8"))
    assert gate.find_faults(kernels, {}, limits) == []


def test_instructions_are_worth_as_many_bytes_as_before(compiled: Path) -> None:
    tool = gate.find_tool("cuobjdump")
    if tool is None:
        pytest.skip("cuobjdump is not installed here: instructions cannot be counted")
    loops = gate.read_loops([compiled / "stream_of_type_Q4K.o"], "sm_90", tool)
    figures = gate.figures_of_loops(loops)
    assert len(figures) == 3
    limits = tomllib.loads(gate.LIMITS.read_text("utf-8"))
    assert gate.find_faults({}, figures, limits) == []


def test_the_gate_finds_what_is_worse() -> None:
    name = "sm_90 stream<Q4K, 1>"
    limits = {name: {"registers": 90, "bytes_per_instruction": 9.0}}
    good = {name: gate.Kernel(name, 92, 0)}
    assert gate.find_faults(good, {name: 8.9}, limits) == []
    assert "registers" in gate.find_faults({name: gate.Kernel(name, 96, 0)}, {}, limits)[0]
    assert "spills" in gate.find_faults({name: gate.Kernel(name, 80, 8)}, {}, limits)[0]
    assert "per instruction" in gate.find_faults(good, {name: 8.0}, limits)[0]


def test_the_inner_loop_is_found_in_machine_code() -> None:
    code = [
        (0x10, "MOV R1, R2"),
        (0x20, "IMMA.16832.S8.S8 R4, R6.ROW, R8.COL, R4"),
        (0x30, "IADD3 R1, R1, 0x1, RZ"),
        (0x40, "@P0 BRA 0x20"),
        (0x50, "@P1 BRA 0x10"),
        (0x60, "BRA 0x60"),
    ]
    assert gate.inner_loop(code) == gate.Loop(instructions=3, products=1)
    ten = gate.Loop(instructions=244, products=10)
    assert ten.bytes_per_instruction("Q4K", 1) == pytest.approx(16 * 144 / 244)
