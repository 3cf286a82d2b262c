"""The window on a real X server with a real tray, driven as a program of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtGui import QImage

from doubles.displays import SessionBus, VirtualDisplay, screenshot
from doubles.program import Program

pytestmark = pytest.mark.xvfb


@pytest.fixture
def tray(session_bus: SessionBus) -> Iterator[Program]:
    program = Program("doubles.tray", session_bus.environment)
    assert program.read() == {"ready": True}
    yield program
    program.end()


@pytest.fixture
def window(virtual_display: VirtualDisplay, session_bus: SessionBus) -> Iterator[Program]:
    program = Program(
        "doubles.desktop_app", {**virtual_display.environment, **session_bus.environment}
    )
    assert program.read() == "ready"
    yield program
    program.end()


def artifacts(tmp_path: Path) -> Path:
    """Return where pictures go: a folder kept after the run where one is named."""
    folder = Path(os.environ.get("FREEHOLD_ARTIFACTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_a_question_typed_into_a_real_window_is_answered_in_light_and_dark(
    window: Program, virtual_display: VirtualDisplay, tmp_path: Path
) -> None:
    assert window.do("ask Does it pay?") is True
    state = window.do("state")
    assert state["messages"] == ["Does it pay?", "A short answer."]
    grounds = {}
    for theme in ("light", "dark"):
        assert window.do(f"theme {theme}") is True
        picture = artifacts(tmp_path) / f"window-{theme}.png"
        assert window.do(f"shot {picture}") is True
        image = QImage(str(picture))
        grounds[theme] = image.pixelColor(image.width() - 40, image.height() // 2).lightness()
        screen = QImage(str(screenshot(virtual_display, artifacts(tmp_path) / f"x-{theme}.png")))
        colors = {screen.pixel(x, y) for x in range(0, 1200, 40) for y in range(0, 800, 40)}
        assert len(colors) > 3, "the screen shows no window"
    assert grounds["light"] > 200 > 60 > grounds["dark"]


def test_the_tray_shows_the_icon_and_its_menu_works(tray: Program, window: Program) -> None:
    assert "registered" in tray.read()
    window.until(lambda: window.do("state")["tray"])
    assert "Server on" in str(tray.do("get ToolTip"))
    assert tray.do("get Status") == {"value": "Active"}
    entries = dict(tray.do("menu")["value"])
    for label in (
        "Open Freehold",
        "New chat",
        "Switch the server off",
        "Copy address",
        "Loaded models",
        "Unload Qwen3 30B A3B",
        "Quit Freehold…",
    ):
        assert entries[label] is True, f"{label} in {entries}"
    assert entries["Server on: http://127.0.0.1:11711"] is False


def test_closing_hides_into_the_tray_and_the_tray_opens_again(
    tray: Program, window: Program
) -> None:
    assert "registered" in tray.read()
    window.until(lambda: window.do("state")["tray"])
    window.do("close")
    assert window.do("state")["question"] == ["Freehold keeps running in the tray"]
    window.do("answer keep")
    window.until(lambda: not window.do("state")["visible"])
    tray.do("click Open Freehold")
    window.until(lambda: window.do("state")["visible"])
    window.do("close")
    window.until(lambda: not window.do("state")["visible"])
    tray.do("activate")
    window.until(lambda: window.do("state")["visible"])


def test_quit_in_the_tray_asks_about_the_server(tray: Program, window: Program) -> None:
    assert "registered" in tray.read()
    window.until(lambda: window.do("state")["tray"])
    tray.do("click Quit Freehold…")
    window.until(lambda: window.do("state")["question"] == ["Quit Freehold?"])
    window.do("answer stop")
    assert window.wait() == 0


def test_without_a_tray_closing_asks_instead_of_hiding(window: Program) -> None:
    assert window.do("state")["tray"] is False
    window.do("close")
    state = window.do("state")
    assert state["visible"] is True
    assert state["question"] == ["Close Freehold?"]
    window.do("answer leave")
    assert window.wait() == 0


def test_a_tray_that_comes_later_is_used(window: Program, session_bus: SessionBus) -> None:
    assert window.do("state")["tray"] is False
    tray = Program("doubles.tray", session_bus.environment)
    try:
        assert tray.read() == {"ready": True}
        window.until(lambda: window.do("state")["tray"], wait_s=20)
    finally:
        tray.end()
