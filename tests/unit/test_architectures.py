"""The list of architectures is the pinned llama.cpp's, where its sources are at hand."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from freehold.gguf.architectures import COMPANIONS, KNOWN
from freehold.gguf.quantisations import BY_FILE_TYPE


def sources() -> Path:
    root = os.environ.get("FREEHOLD_BUILD_CACHE") or str(Path.home() / ".cache/freehold-build")
    found = sorted(Path(root).glob("src/llama_cpp_python-*/vendor/llama.cpp"))
    if not found:
        pytest.skip("llama.cpp's sources are not unpacked here")
    return found[-1]


def test_architectures_match() -> None:
    text = (sources() / "src" / "llama-arch.cpp").read_text()
    table = text.split("LLM_ARCH_NAMES = {", 1)[1].split("};", 1)[0]
    names = set(re.findall(r'"([^"]+)"', table)) - {"(unknown)"}
    assert (names - COMPANIONS) == KNOWN
    assert names >= COMPANIONS


def test_file_types_match() -> None:
    text = (sources() / "include" / "llama.h").read_text()
    table = text.split("enum llama_ftype {", 1)[1].split("}", 1)[0]
    found = re.findall(r"^\s*LLAMA_FTYPE_(?:ALL|MOSTLY)_(\w+)\s*=\s*(\d+)", table, re.MULTILINE)
    assert {int(n): name.removesuffix("_MOE") for name, n in found} == BY_FILE_TYPE
