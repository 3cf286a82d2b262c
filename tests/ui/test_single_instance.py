"""One window per user: the second launch raises the first and hands over what it was given."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QLockFile

from doubles.waiting import until
from freehold.errors import AppError
from freehold.ui.single_instance import SingleInstance, holder_pid, runs_freehold, socket_name

SECOND = """
import sys
from pathlib import Path
from PySide6.QtCore import QCoreApplication
from freehold.ui.single_instance import SingleInstance
app = QCoreApplication([])
instance = SingleInstance(Path(sys.argv[1]))
if not instance.acquire():
    print("there is one")
    instance.hand_over({"new_chat": True, "model_path": "/m/x.gguf"})
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    # The name of a socket may have 107 bytes, which the folder of a test can exceed.
    with tempfile.TemporaryDirectory(prefix="run-") as runtime:
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        yield tmp_path


@pytest.fixture
def first(qapp: object, folder: Path) -> Iterator[SingleInstance]:
    instance = SingleInstance(folder)
    assert instance.acquire()
    yield instance
    instance.release()


async def test_the_second_launch_hands_over_its_arguments(
    folder: Path, first: SingleInstance
) -> None:
    heard: list[object] = []
    first.launched.connect(heard.append)
    second = subprocess.Popen(
        [sys.executable, "-c", SECOND, str(folder)], stdout=subprocess.PIPE, text=True
    )
    await until(lambda: second.poll() is not None, timeout_s=30)
    assert second.communicate()[0] == "there is one\n"
    assert second.returncode == 0
    assert heard == [{"new_chat": True, "model_path": "/m/x.gguf"}]


async def test_after_the_first_has_gone_the_next_is_the_first(folder: Path) -> None:
    first = SingleInstance(folder)
    assert first.acquire()
    first.release()
    second = SingleInstance(folder)
    assert second.acquire()
    second.release()


async def test_a_window_of_a_server_elsewhere_is_one_of_its_own(
    folder: Path, first: SingleInstance
) -> None:
    elsewhere = SingleInstance(folder, "http://box:11711")
    assert elsewhere.acquire()
    assert not SingleInstance(folder, "http://box:11711").acquire()
    assert not SingleInstance(folder).acquire()
    elsewhere.release()


class FullDisk:
    """A lock file whose disk has no room: as QLockFile reports it."""

    def tryLock(self, _wait_ms: int) -> bool:
        return False

    def error(self) -> QLockFile.LockError:
        return QLockFile.LockError.UnknownError

    def fileName(self) -> str:
        return "/data/window.lock"


async def test_a_full_disk_is_not_taken_for_another_window(folder: Path) -> None:
    instance = SingleInstance(folder)
    instance._lock = FullDisk()  # type: ignore[assignment]
    with pytest.raises(AppError) as full:
        instance.acquire()
    assert full.value.code == "disk_full"
    assert "/data/window.lock" in full.value.message


async def test_a_lock_of_a_dead_process_is_taken_over(folder: Path) -> None:
    dead = _dead_pid()
    (folder / "window.lock").write_text(f"{dead}\nfreehold\n{os.uname().nodename}\n")
    instance = SingleInstance(folder)
    assert instance.acquire()
    instance.release()


async def test_a_lock_whose_process_id_is_another_program_now_is_taken_over(folder: Path) -> None:
    # Process 1 lives and is not Freehold; the lock names it as if it had been.
    name = Path("/proc/1/comm").read_text().strip()
    (folder / "window.lock").write_text(f"1\n{name}\n{os.uname().nodename}\n")
    assert not runs_freehold(1)
    instance = SingleInstance(folder)
    assert instance.acquire()
    instance.release()


async def test_a_holder_that_does_not_answer_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = QLockFile(str(folder / "window.lock"))
    assert lock.tryLock(0)
    monkeypatch.setattr("freehold.ui.single_instance.runs_freehold", lambda _pid: True)
    second = SingleInstance(folder)
    assert not second.acquire()
    with pytest.raises(AppError) as caught:
        second.hand_over({})
    assert caught.value.code == "already_running"
    lock.unlock()


@pytest.mark.parametrize("data", [b"not json\n", b"[1, 2]\n", b"\x00\xff\n", b'"text"\n'])
async def test_rubbish_on_the_socket_is_dropped(
    folder: Path, first: SingleInstance, data: bytes
) -> None:
    heard: list[object] = []
    first.launched.connect(heard.append)
    answer = await asyncio.to_thread(_talk, socket_name(folder), data)
    assert answer == b""
    assert heard == []
    good = await asyncio.to_thread(
        _talk, socket_name(folder), json.dumps({"a": 1}).encode() + b"\n"
    )
    assert good == b"ok\n"
    assert heard == [{"a": 1}]


async def test_an_endless_line_is_cut_off(folder: Path, first: SingleInstance) -> None:
    answer = await asyncio.to_thread(_talk, socket_name(folder), b"x" * 200_000)
    assert answer == b""


async def test_only_this_user_reaches_the_socket(folder: Path, first: SingleInstance) -> None:
    mode = Path(socket_name(folder)).stat().st_mode & 0o777
    assert mode & 0o077 == 0


def test_two_data_folders_have_two_windows(folder: Path) -> None:
    assert socket_name(folder / "a") != socket_name(folder / "b")


def test_a_torn_lock_file_names_nobody(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("rubbish")
    assert holder_pid(tmp_path / "lock") is None
    assert holder_pid(tmp_path / "none") is None


def _talk(path: str, data: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(5)
        line.connect(path)
        try:
            line.sendall(data)
            return line.recv(64)
        except (BrokenPipeError, ConnectionResetError):
            return b""


def _dead_pid() -> int:
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(pid, 0)
    return pid
