"""Desktop tests: every `async def` test runs on the Qt loop, offscreen unless told otherwise.

Inside an async test wait with `await until(condition)` from `doubles.waiting`, never with
`qtbot.waitUntil`: a nested Qt loop cannot step asyncio tasks.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import qasync
from PySide6.QtWidgets import QApplication

_applications: list[QApplication] = []


def _qt_loop() -> asyncio.AbstractEventLoop:
    existing = QApplication.instance()
    if not isinstance(existing, QApplication):
        existing = QApplication([])
        _applications.append(existing)
    existing.setQuitOnLastWindowClosed(False)
    return qasync.QEventLoop(existing)


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"qt": _qt_loop}
