"""Desktop tests: every `async def` test runs on the Qt loop, offscreen unless told otherwise.

Inside an async test wait with `await until(condition)` from `doubles.waiting`, never with
`qtbot.waitUntil`: a nested Qt loop cannot step asyncio tasks.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping

import pytest
import pytest_asyncio

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import qasync
from PySide6.QtWidgets import QApplication

from doubles.client import FakeClient
from doubles.scenes import busy_workstation
from doubles.waiting import until
from freehold.ui.state.session import Session
from freehold.ui.tasks import end_all
from freehold.ui.theme import Theme

_applications: list[QApplication] = []


class _PatientLoop(qasync.QEventLoop):
    """pytest-qt processes events between the parts of a test, while asyncio calls no loop running.

    What falls due then must find its loop as it would in the program.
    """

    def call_later(self, delay, callback, *args, context=None):  # type: ignore[no-untyped-def]
        return super().call_later(delay, self._call, callback, *args, context=context)

    def _call(self, callback, *args):  # type: ignore[no-untyped-def]
        if asyncio._get_running_loop() is not None:
            callback(*args)
            return
        asyncio._set_running_loop(self)
        try:
            callback(*args)
        finally:
            asyncio._set_running_loop(None)


def _qt_loop() -> asyncio.AbstractEventLoop:
    existing = QApplication.instance()
    if not isinstance(existing, QApplication):
        existing = QApplication([])
        _applications.append(existing)
    existing.setQuitOnLastWindowClosed(False)
    return _PatientLoop(existing)


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"qt": _qt_loop}


@pytest.fixture(autouse=True)
def _collect_on_this_thread() -> Iterator[None]:
    """Let Qt objects in reference cycles die here, never in a thread of this or a later test."""
    gc.disable()
    yield
    gc.collect(0)
    gc.collect(1)
    gc.enable()


@pytest.fixture(autouse=True, scope="module")
def _collect_all_at_the_end() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture
def theme(qapp: QApplication) -> Theme:
    """Return a light theme of the test's own."""
    return Theme(qapp, setting="light")


@pytest_asyncio.fixture
async def workstation() -> AsyncIterator[FakeClient]:
    """Give a server with four models, one loaded, one on its way."""
    client = busy_workstation()
    yield client
    await client.close()


@pytest_asyncio.fixture
async def session(workstation: FakeClient) -> AsyncIterator[Session]:
    """Give a connected session on the workstation."""
    session = Session(workstation, retry_s=(0.01,))
    session.start()
    await until(lambda: session.is_connected)
    yield session
    await session.stop()
    await end_all()
