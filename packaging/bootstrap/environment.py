"""The clone's own Python environment, `.venv`."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bootstrap.progress import SetupError, say

# A shell script, since a #! line can hold no space. PYTHONSAFEPATH, which child processes inherit:
# a file in the folder where the command is called is never imported instead of ours.
LAUNCHER = """#!/bin/sh
PYTHONSAFEPATH=1 exec {python} -m freehold "$@"
"""
NETWORK_SIGNS = ("Temporary failure in name resolution", "NewConnectionError", "ConnectTimeout",
                 "Connection refused", "Network is unreachable", "ReadTimeoutError",
                 "ProxyError", "Could not fetch URL")  # fmt: skip


def make(folder: Path) -> None:
    """Make an environment with pip in it; one of this very Python is kept as it is.

    Raises: SetupError if the system's Python cannot.
    """
    if fits(folder):
        return
    say(f"Making {folder.name} with Python {sys.version.split()[0]}")
    if folder.exists():
        shutil.rmtree(folder)
    result = subprocess.run(
        [sys.executable, "-m", "venv", str(folder)], capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        raise SetupError(
            f"Python could not make {folder}: {(result.stdout + result.stderr).strip()[-600:]}",
            "Check free disk space and that python3-venv is installed.",
        )


def fits(folder: Path) -> bool:
    """Return whether an environment there was made by the Python that runs now."""
    try:
        lines = (folder / "pyvenv.cfg").read_text("utf-8").splitlines()
    except OSError:
        return False
    values = {name.strip(): value.strip() for name, _, value in (x.partition("=") for x in lines)}
    same_version = values.get("version") == platform.python_version()
    same_place = values.get("home") == str(Path(sys._base_executable).parent)  # type: ignore[attr-defined]
    return same_version and same_place and (folder / "bin/pip").exists()


def install(folder: Path, requirements: Sequence[Path], label: str, log: Path) -> None:
    """Install pinned, hashed requirements; only prebuilt wheels are accepted."""
    say(f"Installing {label} …")
    arguments = ["install", "--require-hashes", "--only-binary", ":all:"]
    for path in requirements:
        arguments += ["-r", str(path)]
    pip(folder, arguments, log)


def add_application(folder: Path, source: Path) -> None:
    """Make `import freehold` and the command `freehold` work from this environment."""
    packages = next((folder / "lib").glob("python3.*/site-packages"))
    (packages / "freehold-source.pth").write_text(f"{source}\n")
    command = folder / "bin/freehold"
    command.write_text(LAUNCHER.format(python=shlex.quote(str(folder / "bin/python"))))
    command.chmod(0o755)


def pip(folder: Path, arguments: Sequence[str], log: Path) -> None:
    """Run the environment's pip, its words going to `log`.

    Raises: SetupError with pip's last lines and what to do.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as handle:
        result = subprocess.run(
            [str(folder / "bin/python"), "-m", "pip", "--no-input", "--disable-pip-version-check",
             *arguments],
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=subprocess.STDOUT,
            check=False,
        )  # fmt: skip
    if result.returncode != 0:
        raise explain(log, "Python packages could not be installed.")


def explain(log: Path, message: str) -> SetupError:
    """Return the error for a failed pip or build run, told from its log."""
    text = log.read_text(errors="replace")
    tail = "\n".join(text.splitlines()[-12:])
    if "No space left on device" in text:
        next_step = "The disk is full: free some space and run the command again."
    elif any(sign in text for sign in NETWORK_SIGNS):
        next_step = "The package index was not reached: check the network and run it again."
    elif "THESE PACKAGES DO NOT MATCH THE HASHES" in text:
        next_step = "A download differs from what this project pinned; do not use it."
    elif "Killed signal terminated program" in text or "out of memory" in text.lower():
        next_step = "Memory ran out: close other programs and run the command again."
    else:
        next_step = f"The whole output is in {log}; running the command again goes on from there."
    return SetupError(f"{message}\n{tail}", next_step)


def require_disk(folder: Path, needed_bytes: int, purpose: str) -> None:
    """Refuse to begin what would fill the disk.

    Raises: SetupError with the figures.
    """
    existing = folder
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    if free < needed_bytes:
        raise SetupError(
            f"{purpose} needs {needed_bytes / 1e9:.1f} GB free in {existing}; "
            f"{free / 1e9:.1f} GB are free.",
            "Free some space, or set FREEHOLD_BUILD_CACHE to a folder on another disk.",
        )
    if not os.access(existing, os.W_OK):
        raise SetupError(f"{existing} cannot be written.", "Give your user write permission on it.")
