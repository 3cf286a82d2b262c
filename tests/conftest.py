"""What every test gets: its own data folder, and a check that it left nothing behind.

A test fails if it logs a warning nobody expected, or leaves a thread or a child process running.
`@pytest.mark.allow_logs("pattern")` or the fixture `allow_log` names the expected records;
`@pytest.mark.allow_leaks("reason")` says why something may outlive the test.
"""

from __future__ import annotations

import os

# Qt reads this once, when the first application object is made.
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
# No test may reach the key ring of the person who runs it.
os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"

import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from doubles.displays import SessionBus, VirtualDisplay, start_bus, start_display

LEAVE_WITHIN_S = 3.0


@pytest.fixture(autouse=True)
def data_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test its own FREEHOLD_DATA and forget what the person's shell had set."""
    folder = tmp_path_factory.mktemp("freehold")
    monkeypatch.setenv("FREEHOLD_DATA", str(folder))
    for name in ("FREEHOLD_KEY", "HF_TOKEN", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "xdg-config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(folder / "xdg-data"))
    # Models of other programs on this machine are no part of a test.
    for name in ("HF_HOME", "HF_HUB_CACHE", "OLLAMA_MODELS", "LLAMA_CACHE"):
        monkeypatch.setenv(name, str(folder / name.lower()))
    return folder


# --- log records -----------------------------------------------------------------------------


@pytest.fixture
def allow_log(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Return a function that names a warning this test expects, as a regular expression."""

    def allow(pattern: str) -> None:
        request.node.add_marker(pytest.mark.allow_logs(pattern))

    return allow


@pytest.fixture(autouse=True)
def no_unexpected_warnings(
    request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> Iterator[None]:
    """Fail the test if it logged a warning or worse that it did not announce."""
    yield
    allowed = [
        re.compile(pattern)
        for marker in request.node.iter_markers("allow_logs")
        for pattern in marker.args
    ]
    records = [*caplog.get_records("setup"), *caplog.get_records("call")]
    unexpected = [
        f"{record.levelname} {record.name}: {record.getMessage()}"
        for record in records
        if record.levelno >= 30
        and not any(pattern.search(record.getMessage()) for pattern in allowed)
    ]
    if unexpected:
        pytest.fail("unexpected log records:\n" + "\n".join(unexpected), pytrace=False)


# --- things left behind ----------------------------------------------------------------------


def child_processes() -> set[int]:
    """Return the ids of this process's living children (reading /proc is cheap)."""
    children: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        try:
            children.update(int(pid) for pid in (task / "children").read_text().split())
        except OSError:
            continue
    return {pid for pid in children if not _is_zombie(pid)}


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return True


def _living_threads() -> set[threading.Thread]:
    # A thread Python did not start (Qt's, llama.cpp's) shows up as a dummy and never ends.
    return {t for t in threading.enumerate() if not isinstance(t, threading._DummyThread)}


@pytest.fixture(autouse=True)
def leaves_nothing_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test if a thread or child process it started is still there after it."""
    threads, children = _living_threads(), child_processes()
    yield
    if request.node.get_closest_marker("allow_leaks"):
        return
    deadline = time.monotonic() + LEAVE_WITHIN_S
    while True:
        left_threads = _living_threads() - threads
        left_children = child_processes() - children
        if not left_threads and not left_children:
            return
        if time.monotonic() > deadline:
            break
        threading.Event().wait(0.01)
    names = sorted(thread.name for thread in left_threads)
    commands = sorted(_command(pid) for pid in left_children)
    pytest.fail(f"left behind: threads {names}, processes {commands}", pytrace=False)


def _command(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return str(pid)
    return f"{pid} {b' '.join(words).decode(errors='replace').strip()[:120]}"


# --- a screen and a bus ----------------------------------------------------------------------


@pytest.fixture(scope="session")
def virtual_display() -> Iterator[VirtualDisplay]:
    """Run an X server without a screen; `virtual_display.environment` lets a child draw on it."""
    with start_display() as display:
        yield display


@pytest.fixture(scope="session")
def session_bus() -> Iterator[SessionBus]:
    """Run a private D-Bus session bus; `session_bus.environment` leads a child to it."""
    with start_bus() as bus:
        yield bus
