"""The emulated device: built once, its memory given back after each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from doubles.moe import Emulator


@pytest.fixture(scope="session")
def one_emulator() -> Emulator:
    return Emulator()


@pytest.fixture
def emulator(one_emulator: Emulator) -> Iterator[Emulator]:
    one_emulator.seed(1)
    assert one_emulator.table.set_enabled(b"1") == 0
    yield one_emulator
    one_emulator.release()
