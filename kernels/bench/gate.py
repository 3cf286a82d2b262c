"""Looks at compiled kernels: registers, spills, and bytes of weights per machine instruction.

The last figure is what these kernels live by: at one token stock kernels are held up by the number
of instructions, not by memory. It needs no GPU, so a change that costs instructions is seen where
there is none.

    python kernels/bench/gate.py BUILD/cuda [--write]      compares with limits.toml, or writes it
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

LIMITS = Path(__file__).with_name("limits.toml")
SLACK = 1.03  # another compiler counts a little differently

# Bytes of 16 rows that one round of the inner loop reads, and its tensor core products per tile.
UNITS = {
    "Q40": (16 * 4 * 18, 4), "Q80": (16 * 4 * 34, 4), "IQ4NL": (16 * 4 * 18, 4),
    "MXFP4": (16 * 4 * 17, 4), "Q2K": (16 * 84, 18), "Q3K": (16 * 110, 18), "Q4K": (16 * 144, 10),
    "Q5K": (16 * 176, 10), "Q6K": (16 * 210, 18), "IQ2XXS": (16 * 66, 8), "IQ1S": (16 * 50, 8),
    "IQ4XS": (16 * 136, 8), "IQ1M": (16 * 56, 16),
}  # fmt: skip
ENTRY = re.compile(
    r"Compiling entry function '(\S+)' for '(sm_\d+)'.*?(\d+) bytes spill stores, "
    r"(\d+) bytes spill loads.*?Used (\d+) registers",
    re.DOTALL,
)
INSTRUCTION = re.compile(r"/\*([0-9a-f]{4,5})\*/\s+(.*?);")
BRANCH = re.compile(r"\bBRA\b.*?0x([0-9a-f]+)")


@dataclass(frozen=True)
class Kernel:
    """What the compiler said of one kernel on one architecture."""

    name: str
    registers: int
    spilled_bytes: int


@dataclass(frozen=True)
class Loop:
    """The inner loop of a kernel: one unit of 16 rows per round, or several."""

    instructions: int
    products: int

    def bytes_per_instruction(self, kind: str, tiles: int) -> float:
        """Return the bytes of weights one instruction of a warp is good for."""
        unit_bytes, products = UNITS[kind]
        return self.products / (products * tiles) * unit_bytes / self.instructions


def demangle(names: list[str]) -> dict[str, str]:
    """Return short names: stream<Q4K, 1>."""
    tool = shutil.which("c++filt") or shutil.which("cu++filt")
    if tool is None or not names:
        return {name: name for name in names}
    done = subprocess.run(
        [tool], input="\n".join(names), capture_output=True, text=True, check=True
    )
    short = {}
    for name, plain in zip(names, done.stdout.splitlines(), strict=True):
        plain = re.sub(r"\(int\)|moe::|\(anonymous namespace\)::|^void ", "", plain)
        short[name] = plain.split("(", 1)[0].strip()
    return short


def read_logs(folder: Path) -> dict[str, Kernel]:
    """Return kernels by "sm_90 stream<Q4K, 1>" from what ptxas said (-Xptxas -v)."""
    found = []
    for log in sorted(folder.glob("*.log")):
        found += ENTRY.findall(log.read_text("utf-8", "replace"))
    names = demangle([entry[0] for entry in found])
    kernels = {}
    for mangled, architecture, stores, loads, registers in found:
        name = f"{architecture} {names[mangled]}"
        kernels[name] = Kernel(name, int(registers), int(stores) + int(loads))
    return kernels


def find_tool(name: str) -> str | None:
    """Return a tool of the CUDA toolkit: on the PATH, beside nvcc, or in NVIDIA's package."""
    places = [Path(each).resolve().parent for each in [shutil.which("nvcc")] if each]
    places.append(Path(os.environ.get("CUDA_HOME", "/usr/local/cuda")) / "bin")
    spec = importlib.util.find_spec("nvidia")
    for root in (spec.submodule_search_locations or ()) if spec else ():
        places.append(Path(root) / "cu13/bin")
    path = os.pathsep.join([os.environ.get("PATH", ""), *map(str, places)])
    return shutil.which(name, path=path)


def inner_loop(code: list[tuple[int, str]]) -> Loop | None:
    """Return the smallest loop that multiplies."""
    best = None
    for at, text in code:
        jump = BRANCH.search(text)
        if jump is None or int(jump[1], 16) >= at:
            continue
        body = [each for place, each in code if int(jump[1], 16) <= place <= at]
        products = sum("IMMA" in each for each in body)
        if products and (best is None or len(body) < best.instructions):
            best = Loop(len(body), products)
    return best


def read_loops(objects: list[Path], architecture: str, tool: str) -> dict[str, Loop]:
    """Return the inner loops of all kernels by "sm_90 stream<Q4K, 1>"."""
    loops = {}
    # cuobjdump asks nvdisasm, which lies beside it.
    path = os.pathsep.join([str(Path(tool).parent), os.environ.get("PATH", "")])
    for each in objects:
        command = [tool, "-sass", "-arch", architecture, str(each)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "PATH": path}
        )
        parts = re.split(r"\n\s*Function : ", done.stdout)[1:]
        names = demangle([part.split("\n", 1)[0].strip() for part in parts])
        for part in parts:
            code = [(int(at, 16), text) for at, text in INSTRUCTION.findall(part)]
            loop = inner_loop(code)
            if loop is not None:
                loops[f"{architecture} {names[part.split(chr(10), 1)[0].strip()]}"] = loop
    return loops


def figures_of_loops(loops: dict[str, Loop]) -> dict[str, float]:
    """Return bytes per instruction of the stream kernels."""
    figures = {}
    for name, loop in loops.items():
        match = re.fullmatch(r"(sm_\d+) stream<(\w+), (\d)>", name)
        if match is not None:
            figures[name] = round(loop.bytes_per_instruction(match[2], int(match[3])), 2)
    return figures


def find_faults(
    kernels: dict[str, Kernel], figures: dict[str, float], limits: dict[str, dict[str, float]]
) -> list[str]:
    """Return one sentence per kernel that is worse than its limits."""
    faults = []
    for name, kernel in sorted(kernels.items()):
        if kernel.spilled_bytes:
            faults.append(f"{name} spills {kernel.spilled_bytes} bytes")
        allowed = limits.get(name, {}).get("registers")
        if allowed is not None and kernel.registers > allowed * SLACK:
            faults.append(f"{name} uses {kernel.registers} registers, not {allowed:.0f}")
    for name, figure in sorted(figures.items()):
        wanted = limits.get(name, {}).get("bytes_per_instruction")
        if wanted is not None and figure * SLACK < wanted:
            faults.append(f"{name} reads {figure} bytes per instruction, not {wanted}")
    return faults


def write_limits(kernels: dict[str, Kernel], figures: dict[str, float]) -> None:
    """Make what is now the limit."""
    lines = ["# Written by gate.py --write: at most these registers, at least these bytes."]
    for name, kernel in sorted(kernels.items()):
        lines += ["", f'["{name}"]', f"registers = {kernel.registers}"]
        if name in figures:
            lines.append(f"bytes_per_instruction = {figures[name]}")
    LIMITS.write_text("\n".join(lines) + "\n", "utf-8")


def main() -> int:
    """Print the table and every fault."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the objects and logs of `cuda` lie")
    parser.add_argument("--write", action="store_true", help="make what is now the limit")
    args = parser.parse_args()
    kernels = read_logs(args.folder)
    tool = find_tool("cuobjdump")
    figures: dict[str, float] = {}
    if tool is None:
        print("cuobjdump is not here: instructions are not counted")
    else:
        objects = sorted(args.folder.glob("*_of_type_*.o"))
        for architecture in sorted({name.split()[0] for name in kernels}):
            figures |= figures_of_loops(read_loops(objects, architecture, tool))
    for name, kernel in sorted(kernels.items()):
        more = f"{figures[name]:6.2f} bytes/instruction" if name in figures else ""
        print(f"{name:44} {kernel.registers:4} registers {kernel.spilled_bytes:4} spilled {more}")
    if args.write:
        write_limits(kernels, figures)
        return 0
    faults = find_faults(kernels, figures, tomllib.loads(LIMITS.read_text("utf-8")))
    print("\n".join(faults) or "All kernels are within their limits.")
    return 1 if faults or not kernels else 0


if __name__ == "__main__":
    sys.exit(main())
