"""Before the window: screen, address, arguments, signals, the way to the server."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from doubles.client import FakeClient
from doubles.waiting import until
from freehold.cli import build_parser, opens_window
from freehold.client.discovery import Connection
from freehold.commands import desktop as desktop_command
from freehold.errors import AppError
from freehold.paths import user_paths
from freehold.ui import application
from freehold.ui.application import ServerLine, check_address, check_screen, quit_on_signals
from freehold.ui.desktop import Launch
from freehold.wire import Hello


def test_without_a_screen_the_way_on_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("QT_QPA_PLATFORM", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(AppError) as caught:
        check_screen()
    assert "freehold serve" in caught.value.hint
    monkeypatch.setenv("DISPLAY", ":0")
    check_screen()


@pytest.mark.parametrize("address", ["localhost:11711", "ftp://host", "http://", "rubbish"])
def test_something_that_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(AppError, match="not the address"):
        check_address(address)


@pytest.mark.parametrize("address", ["", "http://127.0.0.1:11711", "https://box.example:443"])
def test_addresses(address: str) -> None:
    check_address(address)


@pytest.mark.parametrize(
    ("words", "window"),
    [
        ([], True),
        (["--hidden"], True),
        (["--connect=http://x:1"], True),
        (["--connect", "http://x:1"], True),
        (["/m/kimi.gguf"], True),
        (["--new-chat"], True),
        (["serve"], False),
        (["--version"], False),
        (["import", "/m/kimi.gguf"], False),
    ],
)
def test_words_that_open_the_window(words: list[str], window: bool) -> None:
    assert opens_window(words) is window


def test_arguments_reach_the_window(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[tuple[Launch, str]] = []

    def run(_paths: object, launch: Launch, *, address: str = "") -> int:
        seen.append((launch, address))
        return 0

    monkeypatch.setattr(application, "run", run)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    parser = build_parser("desktop")
    args = parser.parse_args(["desktop", "m.gguf", "--hidden", "--connect", "http://h:1"])
    assert desktop_command.run(args) == 0
    assert seen == [(Launch(hidden=True, model_path=str(tmp_path / "m.gguf")), "http://h:1")]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    args = build_parser("desktop").parse_args(["desktop", str(tmp_path / "none.gguf")])
    with pytest.raises(AppError) as caught:
        desktop_command.run(args)
    assert caught.value.code == "not_found"


def test_a_launch_crosses_processes_unchanged() -> None:
    launch = Launch(hidden=True, new_chat=True, model_path="/m/x.gguf")
    assert Launch.from_dict(launch.to_dict()) == launch
    assert Launch.from_dict({"hidden": "yes", "other": 1}) == Launch()


async def test_a_signal_ends_the_window(qapp: object) -> None:
    before = signal.getsignal(signal.SIGTERM)
    finished = asyncio.Event()
    with quit_on_signals(finished.set):
        os.kill(os.getpid(), signal.SIGTERM)
        await until(finished.is_set)
    assert signal.getsignal(signal.SIGTERM) == before


async def test_a_named_server_needs_its_key() -> None:
    line = ServerLine(user_paths(), "http://box:11711")
    with pytest.raises(AppError) as caught:
        await line.connect()
    assert caught.value.code == "unauthorized"
    assert "FREEHOLD_KEY" in caught.value.hint


async def test_a_named_server_is_asked_with_the_preset_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    warning = AppError("conflict", "The server runs 0.2.0, this window 0.1.0.", "Update.")
    asked: list[tuple[str, str]] = []

    async def connect_remote(address: str, key: str) -> Connection:
        asked.append((address, key))
        hello = Hello(api=1, version="0.2.0", instance_id="i", pid=1)
        return Connection(FakeClient(), hello, warning=warning)  # type: ignore[arg-type]

    monkeypatch.setattr(application, "connect_remote", connect_remote)
    monkeypatch.setenv("FREEHOLD_KEY", "fh-remote")
    line = ServerLine(user_paths(), "http://box:11711")
    await line.connect()
    assert asked == [("http://box:11711", "fh-remote")]
    assert line.warning is warning
