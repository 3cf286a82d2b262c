"""Small parts of the server: ports, the lock, recorded workers, load options, metrics."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from doubles.server import fake_entry, fake_paths
from freehold.engine.requests import LoadOptions
from freehold.errors import AppError
from freehold.server.allow_list import AllowList, is_loopback
from freehold.server.counters import Counters
from freehold.server.load_options import LoadMemory, merge, to_options
from freehold.server.metrics import render_metrics
from freehold.server.openai_request import invalid
from freehold.server.ports import bind, bind_next
from freehold.server.server_lock import ServerLock, read_address
from freehold.server.wiring import Address
from freehold.server.worker_pids import WorkerPids
from freehold.wire import EngineState, LoadRequest


def test_the_next_free_port_is_found_and_a_taken_one_named() -> None:
    with bind("127.0.0.1", 0) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(AppError) as caught:
            bind("127.0.0.1", port)
        assert caught.value.code == "port_taken"
        assert caught.value.detail["port"] == port
        free = caught.value.detail["free_port"]
        assert isinstance(free, int)
        assert free > port
        assert str(free) in caught.value.hint
        with bind_next("127.0.0.1", port) as second:
            assert second.getsockname()[1] > port


@pytest.mark.parametrize("host", ["no such host", "256.1.1.1", "203.0.113.7", "a" * 300])
def test_a_host_that_is_not_ours_is_refused(host: str) -> None:
    with pytest.raises(AppError) as caught:
        bind(host, 0)
    assert caught.value.code == "invalid_request"


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("localhost", True),
        ("127.x.evil.com", False),
        ("0.0.0.0", False),  # noqa: S104
        ("::", False),
        ("10.0.0.1", False),
        ("", False),
    ],
)
def test_which_addresses_are_this_machines_alone(host: str, own: bool) -> None:
    assert is_loopback(host) is own


@given(st.binary(max_size=60))
def test_no_other_host_value_is_let_in(value: bytes) -> None:
    allowed = AllowList.of(("127.0.0.1", "localhost"), 11711)
    known = value.strip().lower() in (b"127.0.0.1:11711", b"localhost:11711")
    assert allowed.admits_host([(b"host", value)]) is known


def test_a_server_for_others_answers_to_its_own_names_alone() -> None:
    everywhere = Address("0.0.0.0", 11711)  # noqa: S104
    name = socket.gethostname().lower()
    for host, wanted in [
        (f"{name}:11711", True),
        ("127.0.0.1:11711", True),
        ("0.0.0.0:11711", False),
        ("evil.com:11711", False),
        (f"{name}.evil.com:11711", False),
        (f"{name}:80", False),
    ]:
        assert everywhere.allow_list().admits_host([(b"host", host.encode())]) is wanted, host
    assert everywhere.base_url == "http://127.0.0.1:11711"
    six = Address("fd00::5", 11711)
    assert six.base_url == "http://[fd00::5]:11711"
    assert six.allow_list().admits_host([(b"host", b"[fd00::5]:11711")])


def test_the_lock_is_held_once_and_let_go(tmp_path: Path) -> None:
    paths = fake_paths(tmp_path)
    paths.create()
    first, second = ServerLock(paths), ServerLock(paths)
    first.take()
    first.announce({"host": "127.0.0.1", "port": 5})
    assert read_address(paths.address_file) == {"host": "127.0.0.1", "port": 5}
    with pytest.raises(AppError, match=r"127\.0\.0\.1:5"):
        second.take()
    first.release()
    assert not paths.address_file.exists()
    paths.address_file.write_text("{}")  # as a killed server leaves it
    second.take()
    assert not paths.address_file.exists()
    second.release()


def test_a_lock_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    paths = fake_paths(tmp_path)
    paths.create()
    paths.lock_file.mkdir()
    with pytest.raises(AppError, match="cannot open") as caught:
        ServerLock(paths).take()
    assert caught.value.detail["path"] == str(paths.lock_file)


def test_a_worker_left_behind_is_ended_and_a_stranger_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest
) -> None:
    request.node.add_marker(pytest.mark.allow_logs("ended 1 engine processes"))
    file = tmp_path / "workers.json"
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    orphan = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    stranger = subprocess.Popen(command, stdin=subprocess.PIPE)
    try:
        WorkerPids(file).add(orphan.pid)
        left = json.loads(file.read_text())
        # A process that got the number of a worker that is gone: its start time differs.
        left[str(stranger.pid)] = psutil.Process(stranger.pid).create_time() - 100
        file.write_text(json.dumps(left))
        assert WorkerPids(file).reap() == 1
        assert orphan.wait(10) == -9
        assert stranger.poll() is None
        assert WorkerPids(file).reap() == 0
    finally:
        for process in (orphan, stranger):
            process.kill()
            process.communicate()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"x": 1}', '{"1": "y"}'])
def test_a_damaged_list_of_workers_ends_nobody(tmp_path: Path, text: str) -> None:
    file = tmp_path / "workers.json"
    file.write_text(text)
    assert WorkerPids(file).reap() == 0


def test_options_that_were_not_given_are_the_engines_own() -> None:
    options = to_options(fake_entry("a"), LoadRequest())
    assert options == LoadOptions(path="/models/a.gguf")
    assert to_options(fake_entry("v", kind="embedding"), LoadRequest()).embeddings


@given(
    st.builds(LoadRequest, parallel=st.none() | st.integers(1, 8), threads=st.none() | st.just(2)),
    st.builds(LoadRequest, parallel=st.none() | st.integers(1, 8), devices=st.none() | st.just(())),
)
def test_what_is_asked_for_goes_over_what_was_used(before: LoadRequest, now: LoadRequest) -> None:
    merged = merge(before, now)
    for name in LoadRequest.__struct_fields__:
        asked = getattr(now, name)
        assert getattr(merged, name) == (getattr(before, name) if asked is None else asked)
    assert merge(before, None) == before


@pytest.mark.allow_logs("remembered load options")
@pytest.mark.parametrize("text", ["{", "[]", '{"a": {"parallel": 0}}', '{"a": {"parallel": "x"}}'])
def test_damaged_remembered_options_are_forgotten(tmp_path: Path, text: str) -> None:
    file = tmp_path / "options.json"
    file.write_text(text)
    assert LoadMemory(file).recall("a") == LoadRequest()


def test_metrics_escape_names() -> None:
    state = EngineState(ref='a"b\\c\nd', phase="ready", running=2)
    text = render_metrics(Counters(), [state], 0)
    assert 'freehold_engine_running{model="a\\"b\\\\c\\nd"} 2' in text
    assert all(line.startswith(("#", "freehold_")) for line in text.splitlines())


def test_an_error_without_a_parameter_has_no_detail() -> None:
    assert invalid("x", None).detail == {}
    assert msgspec.json.encode(invalid("x", "y").to_dict())


def test_sockets_are_closed_when_binding_fails() -> None:
    with bind("127.0.0.1", 0) as holder:
        port = holder.getsockname()[1]
        before = len(psutil.Process().net_connections("tcp"))
        with pytest.raises(AppError):
            bind("127.0.0.1", port)
        assert len(psutil.Process().net_connections("tcp")) == before
    assert isinstance(holder, socket.socket)
