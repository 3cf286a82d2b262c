"""The Machine page before a scripted server, with a model chosen and its plan there."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from doubles.client import FakeClient
from doubles.machine import small_shape
from doubles.scenes import KIMI, QWEN
from doubles.waiting import until
from freehold.ui.machine.load_dialog import LoadDialog
from freehold.ui.machine.page import MachinePage
from freehold.ui.state.models import ModelsState
from freehold.ui.state.session import Session
from freehold.ui.theme import Theme


@contextlib.asynccontextmanager
async def machine_page(
    client: FakeClient, session: Session, theme: Theme
) -> AsyncIterator[MachinePage]:
    """Show the page, choose a model and wait for its plan; close it afterwards."""
    client.machine.shapes[QWEN.ref] = small_shape()
    page = MachinePage(session, ModelsState(session, session), theme)
    page.resize(1000, 1200)
    page.show()
    await until(lambda: page.machine.state is not None)
    page.choose(KIMI.ref)
    await settled(page)
    try:
        yield page
    finally:
        page.close()
        page.deleteLater()


async def settled(page: MachinePage | LoadDialog) -> None:
    """Wait until a plan, or why there is none, is shown."""
    await until(
        lambda: (
            not page.plan.is_waiting
            and (page.plan.plan is not None or page.plan.problem is not None)
        )
    )
