"""The window and its server as the real processes of a real installation."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e


def wait_for(check: Callable[[], object], wait_s: float = 60.0) -> None:
    deadline = time.monotonic() + wait_s
    while not check():
        assert time.monotonic() < deadline, f"never true: {check}"
        time.sleep(0.05)


def read_address(folder: Path) -> dict[str, object]:
    try:
        return dict(json.loads((folder / "state" / "server.json").read_text()))
    except (OSError, ValueError):
        return {}


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def environment(tmp_path: Path, data_folder: Path) -> dict[str, str]:
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    return {
        **os.environ,
        "QT_QPA_PLATFORM": "offscreen",
        "XDG_RUNTIME_DIR": str(runtime),
        "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent",
    }


def start(environment: dict[str, str], *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "freehold", *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def window(environment: dict[str, str], data_folder: Path) -> Iterator[subprocess.Popen[str]]:
    process = start(environment)
    servers: set[int] = set()

    def listens() -> bool:
        servers.update(int(str(p)) for p in [read_address(data_folder).get("pid")] if p)
        return bool(servers) or process.poll() is not None

    wait_for(listens)
    yield process
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    servers.update(int(str(p)) for p in [read_address(data_folder).get("pid")] if p)
    for pid in servers:
        if is_alive(pid):
            os.kill(pid, signal.SIGTERM)
        wait_for(lambda pid=pid: not is_alive(pid), 30)


def test_the_second_launch_ends_at_once_and_the_first_goes_on(
    window: subprocess.Popen[str], environment: dict[str, str]
) -> None:
    second = start(environment, "--new-chat")
    _, errors = second.communicate(timeout=30)
    assert second.returncode == 0, errors
    assert window.poll() is None


def test_the_window_may_end_and_its_server_goes_on(
    window: subprocess.Popen[str], data_folder: Path
) -> None:
    pid = int(str(read_address(data_folder)["pid"]))
    window.send_signal(signal.SIGTERM)
    _, errors = window.communicate(timeout=30)
    assert window.returncode == 0, errors
    assert "Traceback" not in errors
    assert is_alive(pid)


def test_a_killed_server_is_started_again(window: subprocess.Popen[str], data_folder: Path) -> None:
    first = read_address(data_folder)
    os.kill(int(str(first["pid"])), signal.SIGKILL)
    wait_for(
        lambda: read_address(data_folder).get("instance_id") not in (None, first["instance_id"])
    )
    assert window.poll() is None


def test_a_killed_window_leaves_no_lock_behind(
    window: subprocess.Popen[str], environment: dict[str, str], data_folder: Path
) -> None:
    log = data_folder / "state" / "logs" / "window.log"
    wait_for(lambda: log.read_text().count("the window is open") == 1)
    window.kill()
    window.wait(20)
    second = start(environment)
    try:
        wait_for(lambda: log.read_text().count("the window is open") == 2)
        assert second.poll() is None
    finally:
        second.send_signal(signal.SIGTERM)
        _, errors = second.communicate(timeout=30)
    assert second.returncode == 0, errors
    assert "Traceback" not in log.read_text()
