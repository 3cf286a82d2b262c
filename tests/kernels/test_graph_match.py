"""The matcher finds expert feed-forwards in llama.cpp's graphs and describes what they compute.

`kernels/pack/tests/test_match.cpp` builds the graphs, lets ggml's CPU backend compute them and then
computes each operation found from its description alone, and once more with the expert kernels on
the emulated GPU.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bootstrap.native_build import SOURCE_NAME, cache_folder
from doubles.moe import emulated_library
from freehold.engine.native import library_folder

KERNELS = Path(__file__).parents[2] / "kernels"


def test_what_is_found_is_what_the_graph_computes(tmp_path: Path) -> None:
    ggml = cache_folder() / "src" / SOURCE_NAME / "vendor/llama.cpp/ggml"
    if not ggml.is_dir():
        pytest.skip("the pinned source package is not unpacked here")
    pack, program, libraries = KERNELS / "pack", tmp_path / "test_match", library_folder()
    sources = [pack / "tests/test_match.cpp", pack / "moe_match.cpp", pack / "router_match.cpp"]
    includes = [pack, KERNELS / "moe/include", ggml / "include", ggml / "src"]
    linked = [f"-l:lib{name}.so.0" for name in ("ggml-base", "ggml-cpu", "ggml")]
    subprocess.run(
        ["c++", "-std=c++17", "-O1", "-Wno-unused-function", *(f"-I{path}" for path in includes),
         *map(str, sources), f"-L{libraries}", *linked, "-ldl", f"-Wl,-rpath,{libraries}",
         "-o", str(program)],
        check=True,
    )  # fmt: skip
    result = subprocess.run(
        [str(program), str(emulated_library())],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    computed, verdict = result.stdout.splitlines()
    assert verdict == "all hold"
    assert int(computed.split()[0]) > 40
