"""`freehold power calibrate` and `limits`: what they print, and that an interrupt cancels."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import msgspec
import pytest

from doubles.client import FakeClient
from doubles.waiting import until
from freehold.commands import power_trials
from freehold.errors import AppError
from freehold.wire_power import (
    CalibrationResult,
    CalibrationState,
    LimitPoint,
    LimitState,
    Plug,
)

RESULT = CalibrationResult(
    offset_watts=62.4, factor=1.131, offset_error=0.8, factor_error=0.004, error_share=0.03,
    pairs=54, on="2026-11-24", plug="tasmota at 192.168.1.40", meters=("GPU 0",),
)  # fmt: skip


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    client = FakeClient()
    client.costs.stored = msgspec.structs.replace(
        client.costs.stored, plug=Plug(kind="tasmota", host="h")
    )

    @contextlib.asynccontextmanager
    async def costs() -> AsyncIterator[object]:
        yield client.costs

    monkeypatch.setattr(power_trials, "_costs", costs)
    monkeypatch.setattr(power_trials, "EVERY_S", 0.0)
    return client


async def test_a_calibration_is_followed_to_its_result(
    client: FakeClient, capsys: pytest.CaptureFixture[str]
) -> None:
    costs, looks = client.costs, []
    real = costs.calibration

    async def look() -> CalibrationState:
        looks.append(1)
        if len(looks) == 3:
            costs.end_calibration(RESULT)
        return await real()

    costs.calibration = look  # type: ignore[method-assign]
    assert await power_trials.calibrate(as_json=False) == 0
    assert capsys.readouterr().out == (
        "wall = 62.4 ± 0.8 W + 1.131 ± 0.004 x measured (± 3%; 54 pairs against tasmota at "
        "192.168.1.40, 2026-11-24)\n"
    )


async def test_a_failed_one_is_one_sentence(client: FakeClient) -> None:
    async def look() -> CalibrationState:
        return CalibrationState(phase="failed", problem="The plug was away. Come nearer.")

    client.costs.calibration = look  # type: ignore[method-assign]
    with pytest.raises(AppError, match="The plug was away"):
        await power_trials.calibrate(as_json=True)


async def test_an_interrupt_cancels_it(client: FakeClient) -> None:
    running = asyncio.create_task(power_trials.calibrate(as_json=True))
    await until(lambda: len(client.called("costs.calibration")) > 1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert client.costs.calibrating.phase == "cancelled"


async def test_limits_are_a_table_with_the_best_and_the_next_command(
    client: FakeClient, capsys: pytest.CaptureFixture[str]
) -> None:
    points = tuple(
        LimitPoint(
            at=1.0, gpu="H100", limit_watts=limit, model="kimi", streams=4, tokens_per_s=90.0,
            watts=limit - 4.0, joules_per_token=joules, level="gpu",
        )
        for limit, joules in ((250, 2.73), (350, 3.45))
    )  # fmt: skip
    client.costs.sweep = LimitState(
        gpu="H100", limit_watts=350, least_watts=200, most_watts=350, points=points,
        best=points[0], sentence="Best at 250 W.", commands=("sudo nvidia-smi -i 0 -pl 295",),
    )  # fmt: skip
    assert await power_trials.limits(measure=False, as_json=False) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["250", "W", "90.0", "246", "W", "2.73", "best"]
    assert lines[4] == "Best at 250 W."
    assert "  sudo nvidia-smi -i 0 -pl 295" in lines
    assert await power_trials.limits(measure=False, as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["best"]["limit_watts"] == 250
    client.costs.sweep = LimitState(problem="There is no NVIDIA GPU here.")
    with pytest.raises(AppError, match="no NVIDIA GPU"):
        await power_trials.limits(measure=False, as_json=False)
