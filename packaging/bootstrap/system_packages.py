"""Libraries and programs Freehold needs from the system, and Debian's names for them."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from bootstrap.progress import SetupError, say

LIBRARIES = Path(__file__).resolve().parents[2] / "resources/system_libraries.toml"


@dataclass(frozen=True, slots=True)
class Need:
    """Something the system must have: how to see it and which package brings it.

    packages: Debian's and Ubuntu's names, the usual one first (some were renamed).
    """

    what: str
    packages: tuple[str, ...]
    present: Callable[[], bool]


def _library(soname: str, *packages: str) -> Need:
    def present() -> bool:
        try:
            ctypes.CDLL(soname)
        except OSError:
            return False
        return True

    return Need(soname, packages, present)


def _program(name: str, *packages: str) -> Need:
    return Need(name, packages, lambda: shutil.which(name) is not None)


def _font(folder: str, *packages: str) -> Need:
    return Need("a font", packages, lambda: Path(folder).is_dir())


def _module(name: str, *packages: str) -> Need:
    return Need(f"Python's {name}", packages, lambda: importlib.util.find_spec(name) is not None)


FOR_VENV: tuple[Need, ...] = (_module("ensurepip", "python3-venv"),)
FOR_RUNNING: tuple[Need, ...] = tuple(
    _library(soname, *packages)
    for soname, packages in tomllib.loads(LIBRARIES.read_text("utf-8")).items()
)
FOR_TESTS: tuple[Need, ...] = (
    _program("Xvfb", "xvfb"),
    _program("dbus-daemon", "dbus"),
    _program("dbus-run-session", "dbus"),
    _program("desktop-file-validate", "desktop-file-utils"),
    _font("/usr/share/fonts/truetype/dejavu", "fonts-dejavu-core"),
)
FOR_BUILDING: tuple[Need, ...] = (
    _program("c++", "g++"),
    _program("cc", "gcc"),
)


def provide(needs: Iterable[Need]) -> None:
    """See to it that every need is met: install as root, otherwise name the exact command.

    Raises: SetupError naming what is missing and the apt line.
    """
    missing = [need for need in needs if not need.present()]
    if not missing:
        return
    names = ", ".join(need.what for need in missing)
    if shutil.which("apt-get") is None:
        wanted = " ".join(need.packages[-1] for need in missing)
        raise SetupError(
            f"This system lacks {names}.",
            f"Install them with your package manager (Debian calls them: {wanted}).",
        )
    if os.geteuid() != 0:
        packages = " ".join(_choose(need) for need in missing)
        raise SetupError(
            f"This system lacks {names}.",
            f"Run: sudo apt-get update && sudo apt-get install -y {packages}",
        )
    say(f"Installing what the system lacks: {names}")
    _apt("update", "-q")
    chosen = sorted({_choose(need) for need in missing})
    _apt("install", "-y", "-q", "--no-install-recommends", *chosen)
    importlib.invalidate_caches()
    still = [need for need in missing if not need.present()]
    if still:
        raise SetupError(
            f"{', '.join(need.what for need in still)} cannot be found even after installing "
            f"{', '.join(_choose(need) for need in still)}.",
            "Check that the packages match this machine's architecture.",
        )


def _choose(need: Need) -> str:
    """Return the first of a need's package names that this release knows."""
    for package in need.packages[:-1]:
        found = subprocess.run(
            ["apt-cache", "show", "--no-all-versions", package], capture_output=True, check=False
        )
        if found.returncode == 0 and found.stdout:
            return package
    return need.packages[-1]


def _apt(*arguments: str) -> None:
    result = subprocess.run(
        ["apt-get", *arguments],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if result.returncode != 0:
        tail = "\n".join(result.stdout.splitlines()[-12:])
        raise SetupError(
            f"apt-get {' '.join(arguments)} failed:\n{tail}",
            "Check the network and that no other apt is running, then run the command again.",
        )
