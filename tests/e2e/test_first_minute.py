"""The first minute with Freehold: nothing but what comes with it, and every process real."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from doubles.displays import VirtualDisplay
from doubles.program import Program, real_window
from freehold.library.bundled import STARTER

pytestmark = [pytest.mark.e2e, pytest.mark.xvfb, pytest.mark.engine]


@pytest.fixture
def window(virtual_display: VirtualDisplay, data_folder: Path) -> Iterator[Program]:
    # Another home: no models of other programs.
    environment = {**virtual_display.environment, "HOME": str(data_folder)}
    with real_window(environment, data_folder) as program:
        yield program


def test_the_starter_model_answers_at_once(window: Program, tmp_path: Path) -> None:
    machine = window.do("start", 120)
    assert "of memory" in machine[0]
    assert "free for models" in machine[1]
    assert window.do("ask How do I download a model?", 120) is True
    state = window.do("state")
    assert [ref.partition(":")[0] for ref in state["loaded"]] == [STARTER]
    assert state["messages"][1].strip()
    assert state["statuses"] == ["complete", "complete"]
    folder = Path(os.environ.get("FREEHOLD_ARTIFACTS") or tmp_path)
    assert window.do(f"shot {folder / 'first-minute.png'}") is True
