"""A virtual screen and a private session bus for tests that start the real window."""

from __future__ import annotations

import os
import selectors
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

START_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True)
class VirtualDisplay:
    """An X server with a memory framebuffer."""

    name: str
    width: int
    height: int

    @property
    def environment(self) -> Mapping[str, str]:
        """Return what a child process needs to open its window here."""
        return {"DISPLAY": self.name, "QT_QPA_PLATFORM": "xcb", "XDG_SESSION_TYPE": "x11"}


@dataclass(frozen=True, slots=True)
class SessionBus:
    """A D-Bus session bus nobody else uses."""

    address: str

    @property
    def environment(self) -> Mapping[str, str]:
        """Return what a child process needs to talk on this bus."""
        return {"DBUS_SESSION_BUS_ADDRESS": self.address}


@contextmanager
def start_display(width: int = 1440, height: int = 900) -> Iterator[VirtualDisplay]:
    """Run Xvfb on a display number it chooses itself."""
    _need("Xvfb", "xvfb")
    read_end, write_end = os.pipe()
    screen = ["-screen", "0", f"{width}x{height}x24"]
    process = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write_end), *screen, "-nolisten", "tcp", "-noreset"],
        pass_fds=[write_end],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(write_end)
    try:
        number = _read_line(read_end, process, "Xvfb")
        yield VirtualDisplay(f":{number}", width, height)
    finally:
        os.close(read_end)
        _end(process)


@contextmanager
def start_bus() -> Iterator[SessionBus]:
    """Run dbus-daemon as a session bus on a socket of its own."""
    _need("dbus-daemon", "dbus")
    read_end, write_end = os.pipe()
    process = subprocess.Popen(
        ["dbus-daemon", "--session", "--nofork", f"--print-address={write_end}"],
        pass_fds=[write_end],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(write_end)
    try:
        yield SessionBus(_read_line(read_end, process, "dbus-daemon"))
    finally:
        os.close(read_end)
        _end(process)


def screenshot(display: VirtualDisplay, path: Path) -> Path:
    """Save what the virtual screen shows as a PNG, through Qt in a process of its own."""
    code = (
        "import sys\n"
        "from PySide6.QtGui import QGuiApplication\n"
        "app = QGuiApplication(sys.argv[:1])\n"
        "image = app.primaryScreen().grabWindow(0)\n"
        "sys.exit(0 if image.save(sys.argv[1]) else 1)\n"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(path)],
        env={**os.environ, **display.environment},
        check=True,
        timeout=60,
    )
    return path


def _need(program: str, package: str) -> None:
    if shutil.which(program) is None:
        message = f"{program} is missing: apt-get install {package}"
        if os.environ.get("CI"):
            pytest.fail(message, pytrace=False)
        pytest.skip(message)


def _read_line(fd: int, process: subprocess.Popen[bytes], what: str) -> str:
    deadline = time.monotonic() + START_WITHIN_S
    collected = b""
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        while b"\n" not in collected:
            if not selector.select(timeout=max(0.0, deadline - time.monotonic())):
                _end(process)
                pytest.fail(f"{what} did not start within {START_WITHIN_S:.0f} s", pytrace=False)
            chunk = os.read(fd, 4096)
            if not chunk:
                pytest.fail(f"{what} ended at once ({process.wait()})", pytrace=False)
            collected += chunk
    return collected.partition(b"\n")[0].decode()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
