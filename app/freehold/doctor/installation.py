"""Python, its packages and the libraries of the system."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from freehold.doctor.check import Check
from freehold.paths import resources

AGAIN = "Run `make run` in the folder Freehold was installed from; it installs what is missing."


def check_python() -> Check:
    """Return whether this Python is new enough."""
    new_enough = sys.version_info >= (3, 11)
    return Check(
        "python",
        new_enough,
        f"{platform.python_implementation()} {platform.python_version()}, {sys.executable}",
        "" if new_enough else "Install Python 3.11 or newer and run `make run` again.",
    )


def check_packages(pins: Mapping[str, str], find: Callable[[str], str | None]) -> Check:
    """Return whether every pinned package is installed in its pinned version."""
    wrong = []
    for name, version in pins.items():
        found = find(name)
        if found is None:
            wrong.append(f"{name} is missing")
        elif found != version:
            wrong.append(f"{name} is {found} instead of {version}")
    if not pins:
        return Check("packages", True, "no list of pinned packages here to compare with")
    detail = "; ".join(wrong) if wrong else f"{len(pins)} packages, all in their pinned versions"
    return Check("packages", not wrong, detail, AGAIN if wrong else "")


def installed_version(name: str) -> str | None:
    """Return the version of an installed package, None if it is not there."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def read_pins() -> dict[str, str]:
    """Return the pinned packages for this platform, by name; empty in an installation without."""
    folder = resources().parent / "packaging/requirements"
    pins: dict[str, str] = {}
    for name in ("runtime.txt", "native.txt"):
        try:
            text = (folder / name).read_text("utf-8")
        except OSError:
            continue
        pins.update(_parse_pins(text))
    return pins


def _parse_pins(text: str) -> Iterator[tuple[str, str]]:
    for line in text.replace("\\\n", " ").splitlines():
        pinned = line.partition(" --hash")[0].strip()
        try:
            requirement = Requirement(pinned)
        except InvalidRequirement:
            continue
        if requirement.marker is None or requirement.marker.evaluate():
            yield requirement.name, str(requirement.specifier).removeprefix("==")


def check_window_libraries(
    libraries: Mapping[str, list[str]], loads: Callable[[str], bool], *, has_screen: bool
) -> Check:
    """Return whether Qt finds the system's libraries; needed where there is a screen."""
    missing = [soname for soname in libraries if not loads(soname)]
    packages = " ".join(libraries[soname][-1] for soname in missing)
    return Check(
        "window_libraries",
        not missing,
        f"{', '.join(missing)} not found" if missing else f"all {len(libraries)} found",
        f"Run: sudo apt-get install {packages}" if missing else "",
        needed=has_screen,
    )


def window_libraries() -> dict[str, list[str]]:
    """Return the libraries Qt needs and the packages that bring them."""
    return tomllib.loads((resources() / "system_libraries.toml").read_text("utf-8"))


def library_loads(soname: str) -> bool:
    """Return whether the dynamic linker finds a library."""
    try:
        ctypes.CDLL(soname)
    except OSError:
        return False
    return True


def has_screen() -> bool:
    """Return whether this session could open a window."""
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def environment_folder() -> Path:
    """Return the folder of this Python environment."""
    return Path(sys.prefix)
