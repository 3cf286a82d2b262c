"""`freehold chat` in a real terminal: it starts the server, streams, stops and keeps the chat."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from doubles.models import tiny_model

pytestmark = [pytest.mark.e2e, pytest.mark.engine]


class Terminal:
    """A `freehold chat` with a pseudo-terminal for a screen."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.screen, inner = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "freehold", "chat", *arguments],
            env={**os.environ, "FREEHOLD_DATA": str(folder), "TERM": "xterm"},
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
            preexec_fn=take_terminal,
        )
        os.close(inner)
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self.screen, text.encode())

    def wait_for(self, text: str, limit_s: float = 60.0) -> str:
        """Return what was shown up to `text`, and forget it."""
        deadline = time.monotonic() + limit_s
        while text not in self.seen:
            assert time.monotonic() < deadline, self.seen
            if select.select([self.screen], [], [], 0.1)[0]:
                try:
                    self.seen += os.read(self.screen, 65536).decode(errors="replace")
                except OSError:  # the other side is gone
                    assert text in self.seen, self.seen
        before, self.seen = self.seen.split(text, 1)
        return before

    def press_until(self, key: str, text: str) -> None:
        """Press a key until `text` is shown: Python misses a Ctrl-C just before it reads."""
        for _ in range(40):
            self.type(key)
            with contextlib.suppress(AssertionError):
                self.wait_for(text, 1.0)
                return
        raise AssertionError(self.seen)

    def wait_for_more(self, characters: int, limit_s: float = 60.0) -> None:
        """Wait until an answer of some length is coming."""
        deadline = time.monotonic() + limit_s
        while len(self.seen) < characters:
            assert time.monotonic() < deadline, self.seen
            if select.select([self.screen], [], [], 0.1)[0]:
                self.seen += os.read(self.screen, 65536).decode(errors="replace")

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        os.close(self.screen)


def take_terminal() -> None:
    """Make standard input the controlling terminal of this new session."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    file = tmp_path / "state" / "server.json"
    if file.exists():  # the server that the chat started
        server = psutil.Process(json.loads(file.read_text())["pid"])
        server.send_signal(signal.SIGTERM)
        server.wait(20)


def test_an_answer_is_stopped_and_the_chat_goes_on_and_is_kept(folder: Path) -> None:
    terminal = Terminal(folder, "--model", str(tiny_model()), "--system", "Be brief.")
    try:
        terminal.wait_for("> ")
        terminal.type("tell me a very long story\n")
        terminal.wait_for("story")
        terminal.wait_for_more(200)
        terminal.type("\x03")
        terminal.wait_for("> ", 40)
        assert terminal.process.poll() is None
        terminal.type("and now\n")
        terminal.wait_for("and now")
        terminal.wait_for_more(50)
        terminal.type("\x03")
        terminal.wait_for("> ", 40)
        terminal.type("half a line")
        terminal.wait_for("half a line")
        terminal.press_until("\x03", "> ")  # at the prompt it drops the line alone
        terminal.type("\x04")
        assert terminal.process.wait(10) == 0
    finally:
        terminal.close()

    address = json.loads((folder / "state" / "server.json").read_text())
    key = (folder / "state" / "key").read_text().strip()
    url = f"http://127.0.0.1:{address['port']}/freehold/v1"
    headers = {"x-api-key": key}
    (summary,) = httpx.get(f"{url}/chats", headers=headers).json()
    chat = httpx.get(f"{url}/chats/{summary['id']}", headers=headers).json()
    roles = [(m["role"], m["status"]) for m in chat["messages"]]
    assert roles[:2] == [("user", "complete"), ("assistant", "stopped")]
    assert [role for role, _ in roles] == ["user", "assistant"] * 2
    assert chat["messages"][1]["content"]
    assert chat["system_prompt"] == "Be brief."
