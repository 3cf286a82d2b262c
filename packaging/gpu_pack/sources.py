"""Put together the sources of the pack: ggml of the pinned package, hooks applied."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from bootstrap.progress import SetupError

HOOK_FOLDER = "src/ggml-cuda/freehold"  # inside ggml


def assemble(package: Path, kernels: Path, folder: Path) -> bool:
    """Make `folder` hold ggml with this project's hooks; return whether anything changed.

    Files that are the same keep their time stamps, so that only what changed is compiled again.
    package: the unpacked source package of llama-cpp-python.
    Raises: SetupError if the patch does not fit that source.
    """
    fresh = folder.with_suffix(".part")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(package / "vendor/llama.cpp/ggml", fresh)
    _apply(kernels / "pack/hooks.patch", fresh)
    hooks = fresh / HOOK_FOLDER
    hooks.mkdir()
    for file in hook_files(kernels):
        shutil.copy(file, hooks)
    changed = _update(fresh, folder)
    shutil.rmtree(fresh)
    return changed


def hook_files(kernels: Path) -> list[Path]:
    """Return the files that are compiled into the backend beside the patch."""
    pack = kernels / "pack"
    found = [path for path in pack.iterdir() if path.suffix in (".h", ".cuh", ".cpp", ".cu")]
    return [*sorted(found), kernels / "moe/include/moe_kernels.h"]


def _apply(patch: Path, ggml: Path) -> None:
    # The patch names files as llama.cpp's repository does: a/ggml/src/…
    result = subprocess.run(
        ["git", "apply", "-p2", "--whitespace=nowarn", str(patch.absolute())],
        cwd=ggml,
        # A repository around the cache folder must not make git skip files as foreign.
        env={**os.environ, "GIT_CEILING_DIRECTORIES": str(ggml.absolute().parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise SetupError(
            f"The hooks do not fit this llama.cpp: {result.stderr.strip()}",
            "kernels/pack/hooks.patch belongs to one version of llama.cpp; make it anew for this.",
        )


def _update(fresh: Path, folder: Path) -> bool:
    changed = False
    wanted = {path.relative_to(fresh) for path in fresh.rglob("*") if path.is_file()}
    for name in sorted(wanted):
        target = folder / name
        if not target.is_file() or target.read_bytes() != (fresh / name).read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(fresh / name, target)
            changed = True
    for path in folder.rglob("*"):
        if path.is_file() and path.relative_to(folder) not in wanted:
            path.unlink()
            changed = True
    return changed
