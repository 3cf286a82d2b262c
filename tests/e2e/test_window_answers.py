"""The main job, with every process real: window, server, engine, a model, a screen."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest
from PySide6.QtGui import QImage

from doubles.displays import VirtualDisplay, screenshot
from doubles.models import ending_model, small_model
from doubles.program import Program, real_window

pytestmark = [pytest.mark.e2e, pytest.mark.xvfb, pytest.mark.engine]


@pytest.fixture
def window(virtual_display: VirtualDisplay, data_folder: Path) -> Iterator[Program]:
    with real_window(virtual_display.environment, data_folder) as program:
        yield program


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


def server_of(folder: Path) -> tuple[str, dict[str, str]]:
    """Return the background server's address and the header that opens it."""
    address = json.loads((folder / "state" / "server.json").read_text())
    key = (folder / "state" / "key").read_text().strip()
    return f"http://127.0.0.1:{address['port']}", {"authorization": f"Bearer {key}"}


def test_the_window_and_an_openai_client_are_answered_at_once(
    window: Program, data_folder: Path
) -> None:
    ref = window.do(f"import {ending_model()}", 60)
    assert window.do("ask Who are you?", 90) is True
    url, headers = server_of(data_folder)
    key = headers["authorization"].removeprefix("Bearer ")
    pieces: list[str] = []

    def stream() -> None:
        with openai.OpenAI(base_url=f"{url}/v1", api_key=key) as client:
            chunks = client.chat.completions.create(
                model=ref,
                messages=[{"role": "user", "content": "Tell me something."}],
                max_tokens=200,
                stream=True,
            )
            pieces.extend(c.choices[0].delta.content or "" for c in chunks if c.choices)

    reader = threading.Thread(target=stream)
    reader.start()
    assert window.do("ask And what else?", 90) is True
    reader.join(60)
    assert not reader.is_alive()
    assert "".join(pieces).strip()
    state = window.do("state")
    assert state["statuses"] == ["complete"] * 4
    assert state["messages"][3].strip()


def test_a_killed_engine_leaves_the_partial_answer_and_a_usable_window(
    window: Program, data_folder: Path
) -> None:
    window.do(f"import {small_model()}", 90)
    url, headers = server_of(data_folder)

    def answer(number: int) -> str:
        return str(window.do("state")["messages"][number])

    assert window.do("begin Tell me a long story.", 90) is True
    window.until(lambda: len(answer(1)) > 200, 90)
    (engine,) = httpx.get(f"{url}/freehold/v1/state", headers=headers).json()["engines"]
    os.kill(engine["pid"], signal.SIGKILL)
    killed = time.monotonic()
    window.until(lambda: window.do("state")["statuses"][1] == "interrupted", 10)
    assert time.monotonic() - killed < 2
    kept = answer(1)
    assert len(kept) > 200
    assert window.do("begin Go on, please.", 90) is True
    window.until(lambda: len(answer(3)) > 100, 90)
    assert window.do("escape") is True
    window.until(lambda: window.do("state")["statuses"][3] == "stopped", 30)
    assert answer(1) == kept
    stored = httpx.get(f"{url}/freehold/v1/chats", headers=headers).json()
    assert len(stored) == 1
