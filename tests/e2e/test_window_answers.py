"""The main job, with every process real: window, server, engine, a model, a screen."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtGui import QImage

from doubles.displays import VirtualDisplay, screenshot
from doubles.models import ending_model
from doubles.program import Program

pytestmark = [pytest.mark.e2e, pytest.mark.xvfb, pytest.mark.engine]


def _end(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and Path(f"/proc/{pid}").exists():
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
            time.sleep(0.05)
    except (ProcessLookupError, FileNotFoundError):
        return


@pytest.fixture
def window(virtual_display: VirtualDisplay, data_folder: Path) -> Iterator[Program]:
    environment = {
        **virtual_display.environment,
        "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent",
    }
    program = Program("doubles.desktop_app", environment, "--real")
    try:
        assert program.read(90) == "ready"
        yield program
    finally:
        program.end()
        address = data_folder / "state" / "server.json"
        if address.exists():
            _end(int(json.loads(address.read_text())["pid"]))


def test_import_a_model_ask_and_read_the_answer(
    window: Program, virtual_display: VirtualDisplay, tmp_path: Path
) -> None:
    ref = window.do(f"import {ending_model()}", 60)
    assert window.do("ask Who are you?", 90) is True
    state = window.do("state")
    assert state["messages"][0] == "Who are you?"
    assert state["messages"][1], "the answer is empty"
    assert state["statuses"] == ["complete", "complete"]
    assert state["loaded"] == [ref]
    folder = Path(os.environ.get("FREEHOLD_ARTIFACTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    for theme in ("light", "dark"):
        assert window.do(f"theme {theme}") is True
        picture = screenshot(virtual_display, folder / f"answered-{theme}.png")
        assert not QImage(str(picture)).isNull()
