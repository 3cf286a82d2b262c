"""The emulated device, or a real one: made once, its memory given back after each test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from doubles.moe import Emulator
from doubles.moe_gpu import Gpu


@pytest.fixture(scope="session")
def one_emulator() -> Emulator:
    library = os.environ.get("FREEHOLD_MOE_LIBRARY")
    return Gpu(Path(library)) if library else Emulator()


@pytest.fixture
def emulator(one_emulator: Emulator) -> Iterator[Emulator]:
    one_emulator.seed(1)
    assert one_emulator.table.set_enabled(b"1") == 0
    yield one_emulator
    one_emulator.release()


@pytest.fixture(autouse=True)
def only_in_the_emulator(request: pytest.FixtureRequest) -> None:
    """Leave out tests of the emulator itself, and of what it counts, on a real GPU."""
    if request.node.get_closest_marker("emulated") and os.environ.get("FREEHOLD_MOE_LIBRARY"):
        pytest.skip("only the emulator can tell")
