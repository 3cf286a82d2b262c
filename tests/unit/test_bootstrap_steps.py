"""Steps of the preparation: done once, again when what they depend on changes, never half."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bootstrap import environment, native_build, stages, system_packages
from bootstrap.progress import SetupError
from freehold import __version__

ROOT = Path(__file__).parents[2]


def steps(done: list[str], **fingerprints: str) -> list[stages.Stage]:
    def doing(name: str) -> Callable[[], None]:
        return lambda: done.append(name)

    return [stages.Stage(name, text, doing(name)) for name, text in fingerprints.items()]


def test_a_step_is_done_once_until_its_fingerprint_changes(tmp_path: Path) -> None:
    done: list[str] = []
    stages.run(steps(done, venv="1", native="a"), tmp_path)
    stages.run(steps(done, venv="1", native="a"), tmp_path)
    assert done == ["venv", "native"]
    stages.run(steps(done, venv="1", native="b"), tmp_path)
    assert done == ["venv", "native", "native"]


def test_a_failed_step_leaves_no_stamp_and_the_earlier_ones_stay(tmp_path: Path) -> None:
    done: list[str] = []

    def fail() -> None:
        raise SetupError("no network", "check it")

    plan = [*steps(done, venv="1"), stages.Stage("native", "a", fail)]
    with pytest.raises(SetupError):
        stages.run(plan, tmp_path)
    assert [step.name for step in stages.pending(plan, tmp_path)] == ["native"]
    assert done == ["venv"]


def test_a_step_that_removes_the_stamps_is_followed_by_all_others(tmp_path: Path) -> None:
    folder = tmp_path / "venv/stamps"
    done: list[str] = []

    def make() -> None:
        for path in folder.glob("*"):
            path.unlink()
        done.append("venv")

    stages.run([stages.Stage("venv", "1", make), *steps(done, native="a")], folder)
    stages.run([stages.Stage("venv", "2", make), *steps(done, native="a")], folder)
    assert done == ["venv", "native", "venv", "native"]


def test_a_full_disk_is_told_with_both_figures(tmp_path: Path) -> None:
    with pytest.raises(SetupError) as failure:
        environment.require_disk(tmp_path / "not/yet/there", 10**18, "Building")
    assert "1000000000.0 GB" in failure.value.message
    assert "FREEHOLD_BUILD_CACHE" in failure.value.next_step


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        ("... Temporary failure in name resolution", "network"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM", "do not use it"),
        ("c++: fatal error: Killed signal terminated program cc1plus", "Memory ran out"),
        ("error: something else", "whole output"),
    ],
)
def test_failures_of_pip_and_compiler_name_the_next_step(
    tmp_path: Path, line: str, words: str
) -> None:
    log = tmp_path / "log"
    log.write_text(f"before\n{line}\nafter\n")
    error = environment.explain(log, "It failed.")
    assert words in error.next_step
    assert line in error.message


def test_an_environment_of_this_python_is_kept(tmp_path: Path) -> None:
    venv = tmp_path / ".venv"
    venv.mkdir()
    (venv / "precious").touch()
    home = Path(sys._base_executable).parent  # type: ignore[attr-defined]
    (venv / "pyvenv.cfg").write_text(f"home = {home}\nversion = {platform.python_version()}\n")
    assert not environment.fits(venv)  # no pip: it was never finished
    (venv / "bin").mkdir()
    (venv / "bin/pip").touch()
    environment.make(venv)
    assert (venv / "precious").exists()
    (venv / "pyvenv.cfg").write_text(f"home = {home}\nversion = 3.10.1\n")
    assert not environment.fits(venv)


def test_the_command_works_from_a_folder_with_a_space_and_imports_nothing_from_there(
    tmp_path: Path,
) -> None:
    venv, hostile = tmp_path / "my own/.venv", tmp_path / "hostile"
    (venv / "lib/python3.11/site-packages").mkdir(parents=True)
    (venv / "bin").mkdir()
    (venv / "bin/python").symlink_to(sys.executable)
    environment.add_application(venv, ROOT / "app")
    hostile.mkdir()
    (hostile / "freehold.py").write_text("raise SystemExit('imported from the current folder')")
    result = subprocess.run(
        [venv / "bin/freehold", "--version"],
        cwd=hostile,
        env={"PYTHONPATH": os.pathsep.join([str(ROOT / "app"), *sys.path[1:]])},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (result.stdout, result.returncode) == (f"freehold {__version__}\n", 0), result.stderr


def test_missing_libraries_are_named_with_the_exact_apt_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(system_packages.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(system_packages.os, "geteuid", lambda: 1000)
    needs = [
        system_packages.Need("libEGL.so.1", ("libegl1",), lambda: False),
        system_packages.Need("libGL.so.1", ("libgl1",), lambda: True),
        system_packages.Need("libxcb-icccm.so.4", ("libxcb-icccm4",), lambda: False),
    ]
    with pytest.raises(SetupError) as failure:
        system_packages.provide(needs)
    assert failure.value.message == "This system lacks libEGL.so.1, libxcb-icccm.so.4."
    assert failure.value.next_step.endswith("apt-get install -y libegl1 libxcb-icccm4")


def test_a_tree_of_another_compiler_is_made_anew_and_its_own_is_kept(tmp_path: Path) -> None:
    tree = tmp_path / "tree-cpu"
    assert native_build._claim_tree(tree, "one")
    (tree / "object.o").write_text("")
    assert not native_build._claim_tree(tree, "one")
    assert (tree / "object.o").exists()
    native_build._claim_tree(tree, "two")
    assert not (tree / "object.o").exists()
    assert json.loads((tmp_path / "tree-cpu.json").read_text()) == {"key": "two"}


def test_kernel_sources_are_part_of_the_fingerprint(tmp_path: Path) -> None:
    checkout = native_build.Checkout(tmp_path)
    (tmp_path / "kernels/chat").mkdir(parents=True)
    (tmp_path / "kernels/cmake").mkdir()
    checkout.requirements.mkdir(parents=True)
    (checkout.requirements / "native.txt").write_text("llama-cpp-python==0.3.36")
    source = tmp_path / "kernels/chat/chat.cpp"
    source.write_text("int one;")
    before = native_build.fingerprint(checkout)
    assert native_build.fingerprint(checkout) == before
    source.write_text("int two;")
    assert native_build.fingerprint(checkout) != before


@pytest.mark.parametrize(
    ("line", "step"),
    [("  [37/193] Building CXX object", ("37", "193")), ("[5/9] x", ("5", "9")), ("-- [1]", None)],
)
def test_progress_is_read_from_ninja(line: str, step: tuple[str, str] | None) -> None:
    found = native_build.STEP.match(line)
    assert (found.groups() if found else None) == step
