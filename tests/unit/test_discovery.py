"""Finding the background server: its lock, its address, its key, its version."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from doubles.server import FakeModels, LiveServer, fake_house, fake_paths, live_server
from freehold import __version__
from freehold.client import discovery
from freehold.client.discovery import ensure_server, find_server, is_locked, is_older, read_address
from freehold.errors import AppError
from freehold.paths import Paths
from freehold.server.server_lock import ServerLock


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = fake_paths(tmp_path)
    made.create()
    return made


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    with live_server(lambda: fake_house(tmp_path, FakeModels())) as running:
        yield running


def announce(lock: ServerLock, server: LiveServer) -> None:
    lock.announce(
        {
            "pid": os.getpid(),
            "host": "127.0.0.1",
            "port": server.port,
            "instance_id": server.house.instance_id,
            "version": __version__,
            "started_at": 1.0,
        }
    )


async def test_without_a_server_nothing_is_found_and_what_a_dead_one_left_goes(
    paths: Paths,
) -> None:
    assert await find_server(paths) is None
    paths.lock_file.touch()
    paths.address_file.write_text('{"pid": 1, "host": "127.0.0.1", "port": 1}')
    assert await find_server(paths) is None
    assert not paths.address_file.exists()


async def test_a_running_server_is_found_and_has_proven_itself(
    paths: Paths, server: LiveServer
) -> None:
    lock = ServerLock(paths)
    lock.take()
    try:
        announce(lock, server)
        found = await find_server(paths)
        assert found is not None
        assert found.hello.instance_id == server.house.instance_id
        assert found.client.base_url == server.url
        assert found.warning is None
        assert (await found.client.state()).server.port == server.port
        await found.client.close()
    finally:
        lock.release()
    assert await find_server(paths) is None


async def test_a_server_that_is_starting_is_waited_for(paths: Paths, server: LiveServer) -> None:
    lock = ServerLock(paths)
    lock.take()
    finding = asyncio.create_task(find_server(paths, wait_s=10))
    for text in (None, "", "{", '{"pid": "x"}', '{"pid": 1, "host": "127.0.0.1", "port": 1}'):
        if text is not None:
            paths.address_file.write_text(text)
        await asyncio.sleep(0.06)
        assert not finding.done()
    announce(lock, server)
    found = await asyncio.wait_for(finding, 10)
    assert found is not None
    await found.client.close()
    lock.release()


async def test_a_server_that_never_answers_is_named(paths: Paths) -> None:
    lock = ServerLock(paths)
    lock.take()
    with pytest.raises(AppError) as silent:
        await find_server(paths, wait_s=0.1)
    lock.release()
    assert silent.value.code == "server_unreachable"
    assert silent.value.hint


async def test_another_key_is_refused_at_once(paths: Paths, server: LiveServer) -> None:
    lock = ServerLock(paths)
    lock.take()
    announce(lock, server)
    paths.key_file.write_text("fh-not-the-key")
    with pytest.raises(AppError) as refused:
        await find_server(paths, wait_s=5)
    lock.release()
    assert refused.value.code == "unauthorized"


async def test_a_server_that_dies_at_its_start_is_named_with_its_last_words(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spawn(to: Paths) -> subprocess.Popen[bytes]:
        with (to.logs / "server-start.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-c", "import sys; sys.exit('freehold: Port 11711 is taken.')"],
                stderr=log,
            )

    monkeypatch.setattr(discovery, "spawn_server", spawn)
    with pytest.raises(AppError) as failed:
        await ensure_server(paths, wait_s=20)
    assert failed.value.code == "server_unreachable"
    assert "Port 11711 is taken." in failed.value.message


async def test_a_server_that_could_not_even_write_why_on_a_full_disk_is_explained(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spawn(_to: Paths) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", "raise SystemExit(1)"])

    monkeypatch.setattr(discovery, "spawn_server", spawn)
    with pytest.raises(AppError) as silent:
        await ensure_server(paths, wait_s=20)
    assert silent.value.message == "Freehold's server did not start: it ended with status 1."
    monkeypatch.setattr(discovery, "FULL_BYTES", 10**18)
    with pytest.raises(AppError) as full:
        await ensure_server(paths, wait_s=20)
    assert full.value.code == "disk_full"
    assert str(paths.data) in full.value.message


async def test_a_newer_server_is_only_warned_about(
    paths: Paths, server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "__version__", "0.0.9")
    monkeypatch.setattr(discovery, "API_VERSION", 0)
    lock = ServerLock(paths)
    lock.take()
    announce(lock, server)
    found = await ensure_server(paths)
    lock.release()
    assert found.process is None
    assert found.warning is not None
    assert __version__ in found.warning.message
    await found.client.close()


def test_looking_does_not_take_the_lock(paths: Paths) -> None:
    lock = ServerLock(paths)
    assert not is_locked(paths)
    lock.take()
    assert is_locked(paths)
    lock.announce({"pid": 1, "host": "::1", "port": 7})
    address = read_address(paths)
    assert address is not None
    assert address.base_url == "http://[::1]:7"
    lock.release()
    assert not is_locked(paths)


@pytest.mark.parametrize(
    ("version", "than", "older"),
    [
        ("0.1.0", "0.2.0", True),
        ("0.9.0", "0.10.0", True),
        ("0.2.0", "0.2.0", False),
        ("1.0", "0.9.9", False),
        ("nonsense", "0.1.0", True),
        ("0.1.0+local", "0.1.0", False),
    ],
)
def test_versions_are_compared_by_number(version: str, than: str, older: bool) -> None:
    assert is_older(version, than) is older


def test_what_a_dead_server_left_where_one_may_not_write_is_no_failure(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied")

    paths.lock_file.touch()
    paths.address_file.write_text('{"pid": 1, "host": "127.0.0.1", "port": 1}')
    monkeypatch.setattr(Path, "unlink", refuse)
    assert not is_locked(paths)
