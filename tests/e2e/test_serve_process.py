"""`freehold serve` and the commands as real processes, in a data folder of their own."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import psutil
import pytest

from doubles.models import ending_model

pytestmark = [pytest.mark.e2e, pytest.mark.engine]

START_LIMIT_S = 60.0


class Serving:
    """One `freehold serve` process."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self.folder = folder
        self.environment = {**os.environ, "FREEHOLD_DATA": str(folder), **environment}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "freehold", "serve", *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait_ready(self) -> None:
        until(lambda: self.address_file.exists() or self.process.poll() is not None, START_LIMIT_S)
        assert self.process.poll() is None, self.output()
        assert httpx.get(f"{self.url}/health").json() == {"status": "ok"}

    @property
    def address_file(self) -> Path:
        return self.folder / "state" / "server.json"

    @property
    def port(self) -> int:
        return int(json.loads(self.address_file.read_text())["port"])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def key(self) -> str:
        return (self.folder / "state" / "key").read_text().strip()

    def output(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.read()

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return freehold(self.folder, *arguments, stdin=stdin)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(20)
        assert self.process.stdout is not None
        self.process.stdout.close()


def freehold(folder: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "freehold", *arguments],
        env={**os.environ, "FREEHOLD_DATA": str(folder)},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def until(condition: Callable[[], object], limit_s: float = 10.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "the condition was never met"
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    server = Serving(tmp_path, "--port", str(free_port()))
    try:
        server.wait_ready()
        yield server
    finally:
        server.end()


def test_it_says_where_it_is_and_leaves_nothing_behind(serving: Serving) -> None:
    address = json.loads(serving.address_file.read_text())
    assert set(address) == {"pid", "host", "port", "instance_id", "version", "started_at"}
    assert address["pid"] == serving.process.pid
    assert stat.S_IMODE(serving.address_file.stat().st_mode) == 0o600
    serving.process.terminate()
    assert serving.process.wait(20) == 0
    assert not serving.address_file.exists()
    assert serving.output().strip() == f"Freehold answers at http://127.0.0.1:{address['port']}"
    for file in serving.folder.rglob("*"):
        assert file.stat().st_mode & 0o077 == 0, file


def test_a_second_server_of_the_same_folder_is_refused(serving: Serving) -> None:
    second = serving.run("serve")
    assert second.returncode == 1
    assert f"already runs for this data folder at {serving.url}" in second.stderr
    assert httpx.get(f"{serving.url}/health").status_code == 200


def test_a_port_that_is_taken_is_named_and_the_next_offered(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        refused = freehold(tmp_path, "serve", "--port", str(port))
        assert refused.returncode == 1
        assert f"Port {port} is taken by" in refused.stderr
        assert f"process {os.getpid()}" in refused.stderr
        assert "--port" in refused.stderr.split("is free")[1]

        settings = tmp_path / "config" / "settings.toml"
        settings.write_text(f"port = {port}\n")
        server = Serving(tmp_path)
        try:
            server.wait_ready()
            assert server.port > port
        finally:
            server.end()


def test_it_will_not_listen_to_others_with_a_weak_key(tmp_path: Path) -> None:
    server = Serving(tmp_path, "--host", "0.0.0.0", "--port", "0", FREEHOLD_KEY="weak")  # noqa: S104
    try:
        assert server.process.wait(30) == 1
        assert "key of at least 16 characters" in server.output()
    finally:
        server.end()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    answer = freehold(blocked, "serve")
    assert answer.returncode == 1
    assert str(blocked) in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize("command", [["serve"], ["models"], ["load", "x"], ["chat", "-q", "Hello"]])
def test_no_write_permission_is_one_sentence(tmp_path: Path, command: list[str]) -> None:
    folder = tmp_path / "mine"
    assert freehold(folder, "models").returncode == 0  # used before, and taken away since
    for path in (*folder.rglob("*"), folder):
        path.chmod(0o500 if path.is_dir() else 0o400)
    # The superuser may write everywhere, unless it gives that up.
    rights = "-dac_override,-dac_read_search,-fowner"
    words = ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}"]
    answer = subprocess.run(
        [*(words if os.geteuid() == 0 else []), sys.executable, "-m", "freehold", *command],
        env={**os.environ, "FREEHOLD_DATA": str(folder)},
        capture_output=True,
        text=True,
        timeout=START_LIMIT_S,
        check=False,
    )
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    assert answer.returncode == 1
    said = answer.stderr.strip()
    assert "\n" not in said
    assert "cannot write" in said
    assert str(folder) in said
    assert "write permission" in said


def imported(folder: Path) -> list[dict[str, Any]]:
    """Return the models that did not come with Freehold."""
    entries = json.loads(freehold(folder, "models", "--json").stdout)
    assert any(entry["origin"] == "bundled" for entry in entries)
    return [entry for entry in entries if entry["origin"] != "bundled"]


def test_the_commands_work_with_a_server_and_without(serving: Serving) -> None:
    path = str(ending_model())
    added = serving.run("import", path, "--json")
    assert added.returncode == 0, added.stderr
    ref = json.loads(added.stdout)["ref"]
    assert ref in serving.run("models").stdout

    loaded = serving.run("load", ref, "--context", "4096", "--json")
    assert loaded.returncode == 0, loaded.stderr
    states = [json.loads(line) for line in loaded.stdout.splitlines()]
    assert states[-1]["phase"] == "ready"
    assert states[-1]["context_tokens"] == 4096

    asked = serving.run("chat", "--model", ref, "-q", "Hello", "--json")
    assert asked.returncode == 0, asked.stderr
    answer = json.loads(asked.stdout)
    assert answer["status"] == "complete"
    assert answer["stats"]["completion_tokens"] > 0
    piped = serving.run("chat", "--model", ref, stdin="Hello")
    assert piped.returncode == 0
    assert piped.stdout.strip()
    headers = {"x-api-key": serving.key}
    chats = httpx.get(f"{serving.url}/freehold/v1/chats", headers=headers).json()
    assert chats == []  # single questions leave nothing behind

    with openai.OpenAI(base_url=f"{serving.url}/v1", api_key=serving.key) as client:
        stream = client.chat.completions.create(
            model=ref, messages=[{"role": "user", "content": "x"}], stream=True
        )
        assert list(stream)[-1].choices[0].finish_reason in ("stop", "length")

    unloaded = serving.run("unload", ref, "--json")
    assert json.loads(unloaded.stdout) == {"ref": ref, "was_loaded": True}
    serving.end()

    entries = imported(serving.folder)
    assert [(e["ref"], e["path"], e["ready"]) for e in entries] == [(ref, path, True)]
    assert set(entries[0]) >= {"ref", "name", "arch", "bytes", "path", "origin", "ready"}
    assert freehold(serving.folder, "rm", ref).returncode == 0
    assert imported(serving.folder) == []
    assert Path(path).exists()
    missing = freehold(serving.folder, "rm", ref, "--json")
    assert missing.returncode == 1
    assert json.loads(missing.stdout)["error"]["code"] == "model_not_found"


def test_the_first_model_may_be_a_file(tmp_path: Path) -> None:
    server = Serving(tmp_path, "--port", "0", "--model", str(ending_model()))
    try:
        server.wait_ready()
        headers = {"x-api-key": server.key}

        def is_ready() -> bool:
            state = httpx.get(f"{server.url}/freehold/v1/state", headers=headers).json()
            return [engine["phase"] for engine in state["engines"]] == ["ready"]

        until(is_ready, 60)
    finally:
        server.end()


def test_no_worker_outlives_a_killed_server(serving: Serving) -> None:
    ref = json.loads(serving.run("import", str(ending_model()), "--json").stdout)["ref"]
    assert serving.run("load", ref).returncode == 0
    workers = psutil.Process(serving.process.pid).children(recursive=True)
    assert workers
    serving.process.send_signal(signal.SIGKILL)
    serving.process.wait(20)
    psutil.wait_procs(workers, timeout=10)
    assert not [worker for worker in workers if worker.is_running()]

    again = Serving(serving.folder, "--port", "0")  # the stale lock and address are no obstacle
    try:
        until(lambda: again.process.poll() is not None or _is_of(again), START_LIMIT_S)
        again.wait_ready()
    finally:
        again.end()


def _is_of(server: Serving) -> bool:
    try:
        return bool(json.loads(server.address_file.read_text())["pid"] == server.process.pid)
    except (OSError, ValueError):
        return False


@pytest.mark.parametrize("command", ["serve", "chat", "models", "import", "rm", "load", "unload"])
def test_every_command_has_help(tmp_path: Path, command: str) -> None:
    answer = freehold(tmp_path, command, "--help")
    assert answer.returncode == 0
    assert f"usage: freehold {command}" in answer.stdout
    wrong = freehold(tmp_path, command, "--no-such-option")
    assert wrong.returncode == 2
