"""A coroutine ends with its owner, and its errors reach the person once."""

from __future__ import annotations

import asyncio

import pytest
from PySide6.QtCore import QObject

from doubles.waiting import until
from freehold.errors import AppError
from freehold.ui.tasks import end_all, spawn


class Page(QObject):
    def __init__(self) -> None:
        super().__init__()
        self.shown: list[AppError] = []

    def show_error(self, error: AppError) -> None:
        self.shown.append(error)


async def test_a_task_is_cancelled_with_its_owner() -> None:
    owner = QObject()
    task = spawn(owner, asyncio.sleep(60))
    owner.deleteLater()
    await until(task.done)
    assert task.cancelled()


async def test_a_task_outliving_nothing_lets_its_owner_go() -> None:
    owner = QObject()
    task = spawn(owner, asyncio.sleep(0))
    await until(task.done)
    assert not task.cancelled()
    owner.deleteLater()


async def _raise(error: Exception) -> None:
    await asyncio.sleep(0)
    raise error


async def test_an_app_error_is_shown_by_the_nearest_parent() -> None:
    page = Page()
    child = QObject(QObject(page))
    error = AppError("busy", "Busy.", "Wait.")
    await spawn(child, _raise(error))
    assert page.shown == [error]


async def test_a_handler_given_goes_before_the_parents() -> None:
    page, got = Page(), []
    await spawn(page, _raise(AppError("busy", "Busy.")), failed=got.append)
    assert [e.code for e in got] == ["busy"]
    assert page.shown == []


@pytest.mark.allow_logs("failed")
async def test_a_bug_is_logged_with_its_traceback_and_shown_as_internal(
    caplog: pytest.LogCaptureFixture,
) -> None:
    page = Page()
    await spawn(page, _raise(ZeroDivisionError("secret detail")))
    assert [e.code for e in page.shown] == ["internal"]
    assert "secret detail" not in page.shown[0].sentence
    assert caplog.records[-1].exc_info is not None


async def test_end_all_waits_for_every_task() -> None:
    owner = QObject()
    task = spawn(owner, asyncio.sleep(60))
    await asyncio.sleep(0)
    await end_all()
    assert task.cancelled()
