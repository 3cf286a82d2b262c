"""The Costs page's live part: figures with their level, gaps, the cross hair, pictures."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest_asyncio
from PySide6.QtCore import QPointF

from doubles.client import FakeClient
from doubles.waiting import until
from freehold.errors import AppError
from freehold.ui.costs.charts import PowerChart, known_runs
from freehold.ui.costs.page import CostsPage
from freehold.ui.state.session import Session
from freehold.ui.state.settings import SettingsState
from freehold.ui.theme import Theme
from freehold.wire_power import (
    LivePower,
    PowerCurve,
    PowerPart,
    PowerPoint,
)


@pytest_asyncio.fixture
async def page(session: Session, theme: Theme) -> AsyncIterator[CostsPage]:
    page = CostsPage(session, SettingsState(session, session), theme)
    page.resize(1000, 900)
    page.show()
    await until(lambda: page.own.answer is not None and page.live.power is not None, timeout_s=30)
    await until(lambda: page.state.advice is not None, timeout_s=30)
    yield page
    page.close()
    page.deleteLater()


def curve(*watts: tuple[float | None, ...], point_s: int = 1) -> PowerCurve:
    points = tuple(
        PowerPoint(at=1000.0 + at * point_s, watts=each, tokens_per_s=7.0)
        for at, each in enumerate(watts)
    )
    parts = ("GPU 0 H100 (NVML)", "RAPL package-0")
    return PowerCurve(span="minute", span_s=60, point_s=point_s, parts=parts, points=points)


def two_meters() -> LivePower:
    return LivePower(
        level="gpu+cpu",
        error_share=0.05,
        parts=(
            PowerPart(source="GPU 0", level="gpu", error_share=0.05, watts=388.0),
            PowerPart(source="RAPL", level="gpu+cpu", error_share=0.05, watts=97.0),
        ),
        watts=485.0,
        tokens_per_s=24.3,
        joules_per_token=20.0,
        money_per_hour=Decimal("0.1552"),
    )


async def test_live_figures_carry_their_level(page: CostsPage, workstation: FakeClient) -> None:
    workstation.costs.live = two_meters()
    page.show_part("live")
    await until(lambda: page.live.figures["Power now"].text() == "485 W")
    assert page.live.level.text() == "measured at GPU and processor ± 5 %"
    assert page.live.figures["Money now"].text() == "15.5 ¢/h"
    assert page.live.figures["Energy per token"].text() == "20.0 J"


async def test_a_gap_is_said_and_no_sum_is_claimed(
    page: CostsPage, workstation: FakeClient
) -> None:
    lost = PowerPart(source="GPU 0", level="gpu", error_share=0.05, watts=None, reason="no reading")
    workstation.costs.live = LivePower(level="gpu", error_share=0.05, parts=(lost,))
    page.show_part("live")
    await until(lambda: page.live.gap.isVisible())
    assert "GPU 0: no reading" in page.live.gap.text()
    assert page.live.figures["Power now"].text() == "–"


async def test_power_is_read_only_while_it_is_seen(
    page: CostsPage, workstation: FakeClient
) -> None:
    def reads() -> int:
        return len(workstation.called("costs.power"))

    page.state._next_look.setInterval(5)
    assert reads() == 0
    page.show_part("live")
    await until(lambda: reads() > 2)
    page.hide()
    await until(lambda: not page.state._reading)
    count = reads()
    page.state.refresh()
    await until(lambda: len(workstation.called("costs.advice")) > 1)
    assert reads() == count
    assert not page.state._next_look.isActive()
    page.show()
    await until(lambda: reads() > count)


async def test_another_span_is_asked_for(page: CostsPage, workstation: FakeClient) -> None:
    page.show_part("live")
    page.live.span.buttons["day"].click()
    page.state._next_look.setInterval(5)
    await until(lambda: {"span": "day"} in workstation.called("costs.history"))


async def test_the_cross_hair_tells_the_values(page: CostsPage, workstation: FakeClient) -> None:
    workstation.costs.curves["minute"] = curve(*[(100.0, 50.0)] * 60)
    page.show_part("live")
    chart = page.live.power
    assert isinstance(chart, PowerChart)
    await until(lambda: chart._curve is not None and chart._curve.points)
    chart._on_moved(chart.getPlotItem().vb.mapViewToScene(QPointF(1030.2, 60)))
    assert "GPU 0 H100 100 W" in page.live.pointed.text()
    assert "RAPL package-0 50 W" in page.live.pointed.text()
    assert "7.0 tokens/s" in page.live.pointed.text()
    chart._on_moved(QPointF(-50, -50))
    assert page.live.pointed.text() == " "


async def test_the_graph_is_saved_as_a_picture(page: CostsPage, tmp_path: Path) -> None:
    page.show_part("live")
    page.live.save_png(str(tmp_path / "power.png"))
    assert (tmp_path / "power.png").read_bytes().startswith(b"\x89PNG")
    errors: list[AppError] = []
    page.state.failed.connect(errors.append)
    page.live.save_png(str(tmp_path / "nowhere" / "power.png"))
    assert [error.code for error in errors] == ["no_permission"]


def test_gaps_cut_the_curve() -> None:
    known, lost = (10.0, 5.0), (None, 5.0)
    runs = known_runs(curve(known, known, lost, known, (7.0,)))
    assert [len(run) for run in runs] == [2, 1]
    far = msgspec.structs.replace(curve(known, known), point_s=0)
    assert [len(run) for run in known_runs(far)] == [1, 1]
