"""A program of its own that a test talks to: a line there, a JSON line back."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]


class Program:
    """A child that answers each line with a JSON line."""

    def __init__(self, module: str, environment: Mapping[str, str], *words: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *words],
            env={**os.environ, **environment, "PYTHONPATH": str(TESTS)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        self._pending = b""

    def read(self, wait_s: float = 40.0) -> Any:
        assert self._process.stdout is not None
        deadline = time.monotonic() + wait_s
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._pending:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise AssertionError("the program does not answer")
                chunk = os.read(self._process.stdout.fileno(), 65536)
                if not chunk:
                    raise AssertionError(f"the program ended: {self.errors()}")
                self._pending += chunk
        line, _, self._pending = self._pending.partition(b"\n")
        return json.loads(line)

    def do(self, command: str, wait_s: float = 40.0) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(command.encode() + b"\n")
        return self.read(wait_s)

    def until(self, check: Callable[[], object], wait_s: float = 15.0) -> None:
        deadline = time.monotonic() + wait_s
        while not check():
            assert time.monotonic() < deadline, f"never true: {self.do('state')}"
            time.sleep(0.05)

    def errors(self) -> str:
        self._process.kill()
        return self._process.communicate()[1].decode(errors="replace")

    def wait(self) -> int:
        return self._process.wait(20)

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        self._process.wait()


@contextlib.contextmanager
def real_window(environment: Mapping[str, str], data_folder: Path) -> Iterator[Program]:
    """Run the window with a server of its own; both have ended afterwards."""
    variables = {**environment, "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent"}
    program = Program("doubles.desktop_app", variables, "--real")
    try:
        assert program.read(90) == "ready"
        yield program
    finally:
        program.end()
        address = data_folder / "state" / "server.json"
        if address.exists():
            end_process(int(json.loads(address.read_text())["pid"]))


def end_process(pid: int) -> None:
    """End a process and wait until it has gone."""
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and Path(f"/proc/{pid}").exists():
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
            time.sleep(0.05)
