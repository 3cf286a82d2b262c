"""The Costs page's trials: boards and certificates, calibration beside a plug, power limits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal

import msgspec
import pytest
import pytest_asyncio
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest

from doubles.client import FakeClient
from doubles.ledger_month import month_of_lines
from doubles.waiting import until
from freehold.errors import AppError
from freehold.ui.costs.calibration_view import progress_text, rest_text
from freehold.ui.costs.charts import broken_line
from freehold.ui.costs.page import CostsPage
from freehold.ui.settings.fields import ChoiceBox
from freehold.ui.state.session import Session
from freehold.ui.state.settings import SettingsState
from freehold.ui.theme import Theme
from freehold.wire_power import (
    CalibrationResult,
    CalibrationState,
    Capacity,
    CapacityRow,
    LimitPoint,
    LimitState,
    Meters,
    Plug,
    PowerCurve,
    PowerPoint,
)

RESULT = CalibrationResult(
    offset_watts=62.4, factor=1.131, offset_error=0.8, factor_error=0.004, error_share=0.03,
    pairs=54, on="2026-11-24", plug="tasmota at 192.168.1.40", meters=("GPU 0",),
)  # fmt: skip
SHOWN = "AB:CD:EF"


@pytest_asyncio.fixture
async def page(session: Session, theme: Theme) -> AsyncIterator[CostsPage]:
    page = CostsPage(session, SettingsState(session, session), theme)
    page.resize(1000, 900)
    page.show()
    await until(
        lambda: page.state.limits is not None and page.live.limits.picture is not None, timeout_s=30
    )
    page.show_part("tariff")
    for delay in page.state._trials.values():
        delay.setInterval(5)
    yield page
    page.close()
    page.deleteLater()


def pick(box: ChoiceBox, value: str) -> None:
    index = box.findData(value)
    box.setCurrentIndex(index)
    box.activated.emit(index)


def untrusted(plug: Plug) -> AppError:
    error = AppError(
        "network_failed",
        "The certificate is not signed by anyone this machine trusts.",
        "Compare it.",
        detail={"fingerprint": SHOWN},
    )
    if plug.fingerprint == SHOWN:
        return AppError("unauthorized", "The password is wrong.", "Try again.")
    return error


async def test_a_plug_is_tried_and_kept(page: CostsPage, workstation: FakeClient) -> None:
    page.show_part("tariff")
    page.meters.form.host.setText("192.168.1.40")
    QTest.mouseClick(page.meters.form.use, Qt.MouseButton.LeftButton)
    await until(lambda: page.meters.form.problem.isVisible())
    assert "does not answer" in page.meters.form.problem.text()
    workstation.costs.plugs["192.168.1.40"] = "shelly-2"
    QTest.mouseClick(page.meters.form.use, Qt.MouseButton.LeftButton)
    await until(lambda: workstation.costs.stored.plug is not None)
    await until(lambda: page.meters.form.forget.isVisible())
    assert not page.meters.form.problem.isVisible()
    page.meters.form.forget.click()
    await until(lambda: workstation.costs.stored.plug is None)


async def test_a_boards_certificate_is_shown_and_trusted_by_hand(
    page: CostsPage, workstation: FakeClient
) -> None:
    form = page.meters.form
    assert not form.account.isVisible()
    pick(form.kind, "redfish")
    assert form.account.isVisible()
    form.host.setText("10.0.0.9")
    form.user.setText("reader")
    form.password.setText("secret")
    workstation.costs.refusals["redfish"] = untrusted
    form.use.click()
    await until(form.compare.isVisible)
    assert SHOWN in form.fingerprint.text()
    form.trust.click()
    await until(lambda: "password is wrong" in form.problem.text())
    assert not form.compare.isVisible()
    del workstation.costs.refusals["redfish"]
    workstation.costs.plugs["10.0.0.9"] = "redfish"
    form.trust.click()
    await until(lambda: workstation.costs.stored.plug is not None)
    assert workstation.costs.stored.plug == Plug(
        kind="redfish", host="10.0.0.9", user="reader", fingerprint=SHOWN
    )
    await until(lambda: form.password.text() == "")
    pick(form.kind, "ipmi")
    assert not form.host.isVisible()
    assert "never asks for root" in form.explain.text()


async def test_a_calibration_shows_its_time_left_and_its_result(
    page: CostsPage, workstation: FakeClient
) -> None:
    view, costs = page.meters.calibration, workstation.costs
    await until(lambda: "needs a plug" in view.progress.text())
    assert not view.begin.isEnabled()
    costs.stored = msgspec.structs.replace(costs.stored, plug=Plug(kind="tasmota", host="h"))
    page.state.refresh()
    await until(view.begin.isEnabled)
    view.begin.click()
    await until(view.cancel.isVisible)
    assert "at rest; 10:00 left" in view.progress.text()
    costs.calibrating = CalibrationState(phase="load", share=0.75, seconds_left=150)
    await until(lambda: "under load: the model answers; 2:30 left" in view.progress.text())
    assert view.bar.isVisible()
    costs.end_calibration(RESULT)
    await until(lambda: "Calibrated on 2026-11-24: 62 ± 0.8 W" in view.result.text())
    await until(lambda: not view.bar.isVisible())
    assert view.forget.isVisible()
    view.forget.click()
    await until(lambda: costs.stored.calibration is None)


async def test_a_calibration_is_cancelled_and_a_failed_one_says_why(
    page: CostsPage, workstation: FakeClient
) -> None:
    view, costs = page.meters.calibration, workstation.costs
    costs.stored = msgspec.structs.replace(costs.stored, plug=Plug(kind="tasmota", host="h"))
    page.state.refresh()
    await until(view.begin.isEnabled)
    view.begin.click()
    await until(view.cancel.isVisible)
    view.cancel.click()
    await until(lambda: "Cancelled; nothing was changed" in view.progress.text())
    view.begin.click()
    await until(view.cancel.isVisible)
    costs.calibrating = CalibrationState(phase="failed", problem="The plug was away. Come nearer.")
    await until(view.problem.isVisible)
    assert "The plug was away" in view.problem.text()
    assert view.begin.isVisible()


async def test_the_supplys_efficiency_is_stored(page: CostsPage, workstation: FakeClient) -> None:
    view = page.meters.calibration
    view.supply.setValue(92)
    view.supply.editingFinished.emit()
    await until(lambda: workstation.costs.stored.supply_efficiency == Decimal("0.92"))
    view.supply.setValue(30)
    view.supply.editingFinished.emit()
    await until(view.problem.isVisible)
    assert "efficient cannot be" in view.problem.text()
    assert workstation.costs.stored.supply_efficiency == Decimal("0.92")


@pytest.mark.parametrize(
    ("meters", "words"),
    [
        (Meters(counted=(), level="gpu"), "Not counted"),
        (Meters(counted=(), level="wall", plug=Plug(kind="ipmi")), "Measured at the wall"),
        (Meters(counted=(), level="calculated", rest="power supply (92 % efficient)"), "± 15 %"),
        (Meters(counted=(), level="calculated", rest="r", calibration=RESULT), "used now"),
        (Meters(counted=(), level="gpu", calibration=RESULT), "made with other meters"),
    ],
)
def test_how_the_rest_is_counted_is_said(meters: Meters, words: str) -> None:
    assert words in rest_text(meters)
    assert progress_text(CalibrationState(), meters) == meters.cannot_calibrate


def point(limit: int, joules: float) -> LimitPoint:
    return LimitPoint(
        at=float(limit), gpu="H100", limit_watts=limit, model="kimi", streams=4, tokens_per_s=90.0,
        watts=joules * 90, joules_per_token=joules, level="gpu",
    )  # fmt: skip


async def test_limits_are_measured_and_the_best_is_named(
    page: CostsPage, workstation: FakeClient
) -> None:
    view, costs = page.live.limits, workstation.costs
    page.show_part("live")
    assert "no NVIDIA GPU" in view.problem.text()
    assert not view.measure.isVisible()
    costs.sweep = LimitState(
        gpu="H100",
        limit_watts=350,
        least_watts=200,
        most_watts=350,
        commands=("sudo nvidia-smi -i 0 -pl 350", "sudo nvidia-smi -i 0 -pl 295"),
    )
    page.state.refresh()
    await until(view.measure.isVisible)
    assert view.command.field.text() == "sudo nvidia-smi -i 0 -pl 350"
    view.command.copy.click()
    assert QGuiApplication.clipboard().text() == "sudo nvidia-smi -i 0 -pl 350"
    view.measure.click()
    await until(view.cancel.isVisible)
    points = (point(250, 2.73), point(350, 3.45))
    costs.sweep = msgspec.structs.replace(
        costs.sweep, measuring=False, points=points, best=points[0], sentence="Best at 250 W."
    )
    await until(lambda: view.picture is not None and view.picture.isVisible())
    assert "Now set to 350 W. Best at 250 W." in view.sentence.text()
    texts = [view._grid.itemAt(at).widget().text() for at in range(view._grid.count())]
    assert texts[4:8] == ["250 W, best", "90.0", "246 W", "2.73 J"]
    assert texts[8] == "350 W"
    view.forget.click()
    await until(lambda: not view.table.isVisible())


def test_time_left_out_breaks_the_line_of_tokens() -> None:
    points = tuple(
        PowerPoint(at=at, watts=(1.0,), tokens_per_s=5.0) for at in (0.0, 1.0, 2.0, 60.0, 61.0)
    )
    curve = PowerCurve(span="minute", span_s=60, point_s=1, parts=("a",), points=points)
    times, rates = broken_line(curve)
    assert times == [0.0, 1.0, 2.0, 3.0, 60.0, 61.0]
    assert rates[3] != rates[3]
    assert [rate for rate in rates if rate == rate] == [5.0] * 5


async def test_own_or_rent_begins_with_the_ledgers_mix(
    page: CostsPage, workstation: FakeClient
) -> None:
    assert page.own.rows["read"].amount == 3
    assert "assumed" in page.own.mix.text()
    workstation.costs.requests, workstation.costs.idle = month_of_lines()
    page.state.refresh()
    await until(lambda: "measured in 2026-11" in page.own.mix.text())
    total = page.state.summary.total
    assert float(page.own.rows["read"].amount) == pytest.approx(
        total.prompt_tokens / total.completion_tokens, abs=0.06
    )
    assert page.own.rows["cached"].amount == 33
    page.own.rows["read"].field.setValue(7)
    await until(lambda: "as you entered" in page.own.mix.text())
    page.state.refresh()
    await until(lambda: len(workstation.called("costs.limits")) > 2)
    assert page.own.rows["read"].amount == 7


async def test_who_is_served_is_shown_and_what_is_missing(
    page: CostsPage, workstation: FakeClient
) -> None:
    view = page.live.capacity
    page.show_part("live")
    assert "No model is loaded" in view.sentence.text()
    assert not view.table.isVisible()
    rows = (
        CapacityRow(context_tokens=8192, by_memory=4, by_speed=3, people=3),
        CapacityRow(context_tokens=32_768, by_memory=1, by_speed=None, people=1),
    )
    workstation.costs.served = Capacity(
        model="kimi", tokens_per_s=61.5, rows=rows, sentence="It serves 3 people at once."
    )
    page.state.refresh()
    await until(view.table.isVisible)
    texts = [view._grid.itemAt(at).widget().text() for at in range(view._grid.count())]
    assert texts[4:] == ["8k", "4", "3", "3", "32k", "1", "–", "–"]
    assert "61.5 tokens/s" in view.basis.text()
