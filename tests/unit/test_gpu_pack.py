"""The sources of the GPU pack: hooks that fit are applied, others are refused loudly."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from bootstrap.native_build import SOURCE_NAME, cache_folder
from bootstrap.progress import SetupError
from gpu_pack.sources import HOOK_FOLDER, assemble, hook_files

KERNELS = Path(__file__).parents[2] / "kernels"
PATCHED = ("ggml-cuda.cu", "topk-moe.cu")


@pytest.fixture(scope="module")
def package() -> Path:
    folder = cache_folder() / "src" / SOURCE_NAME
    if not (folder / "pyproject.toml").exists():
        pytest.skip("the pinned source package is not unpacked here")
    return folder


@pytest.fixture
def small_package(package: Path, tmp_path: Path) -> Path:
    """The two files that the patch touches, and nothing else of the package."""
    there = package / "vendor/llama.cpp/ggml/src/ggml-cuda"
    here = tmp_path / "package/vendor/llama.cpp/ggml/src/ggml-cuda"
    here.mkdir(parents=True)
    for name in PATCHED:
        shutil.copy(there / name, here)
    return tmp_path / "package"


def test_the_hooks_fit_the_pinned_source(small_package: Path, tmp_path: Path) -> None:
    folder = tmp_path / "src"
    assert assemble(small_package, KERNELS, folder)
    cuda = folder / "src/ggml-cuda"
    assert "freehold_moe_try_fuse(*cuda_ctx" in (cuda / "ggml-cuda.cu").read_text()
    assert "case 384" in (cuda / "topk-moe.cu").read_text()
    names = {path.name for path in (folder / HOOK_FOLDER).iterdir()}
    assert names == {path.name for path in hook_files(KERNELS)}
    assert {"moe_kernels.h", "moe_match.cpp", "moe_hooks.cu"} <= names


def test_what_did_not_change_keeps_its_time(small_package: Path, tmp_path: Path) -> None:
    folder = tmp_path / "src"
    assemble(small_package, KERNELS, folder)
    (folder / "src/ggml-cuda/gone.cu").write_text("of an older package")
    topk = folder / "src/ggml-cuda/topk-moe.cu"
    os.utime(topk, (1, 1))
    assert assemble(small_package, KERNELS, folder)
    assert not (folder / "src/ggml-cuda/gone.cu").exists()
    assert topk.stat().st_mtime == 1
    assert not assemble(small_package, KERNELS, folder)


def test_hooks_for_another_source_are_refused(small_package: Path, tmp_path: Path) -> None:
    cuda = small_package / "vendor/llama.cpp/ggml/src/ggml-cuda/ggml-cuda.cu"
    cuda.write_text(cuda.read_text().replace("GGML_OP_MUL)", "GGML_OP_MUL_)"))
    with pytest.raises(SetupError, match="do not fit"):
        assemble(small_package, KERNELS, tmp_path / "src")
    assert not (tmp_path / "src").exists()
