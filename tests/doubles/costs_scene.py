"""A month of costs for pictures: a team of four, two meters, one of them lost for a while."""

from __future__ import annotations

import math
from decimal import Decimal

import msgspec

from doubles.client import FakeClient
from doubles.costs import NOW
from doubles.ledger_month import month_of_lines
from freehold.power.history import POINT_S, SPAN_S
from freehold.wire_costs import (
    CostsSettings,
)
from freehold.wire_power import (
    Advice,
    LivePower,
    Meters,
    MeterState,
    PowerCurve,
    PowerPart,
    PowerPoint,
)

GPU, CPU, MEMORY = "GPU 0 NVIDIA H100 PCIe (NVML)", "RAPL package-0", "RAPL dram"


def furnish_costs(client: FakeClient) -> None:
    """Give a server a ledger, a tariff, meters and curves."""
    costs = client.costs
    client.stored_settings = msgspec.structs.replace(client.stored_settings, price_per_kwh="0.32")
    costs.price = Decimal("0.32")
    costs.requests, costs.idle = month_of_lines(level="gpu+cpu")
    costs.stored = CostsSettings(capital=Decimal(12000), elsewhere="Claude Max (20x)", seats=4)
    parts = tuple(
        PowerPart(source=source, level=level, error_share=0.05, watts=watts)
        for source, level, watts in (
            (GPU, "gpu", 388.0),
            (CPU, "gpu+cpu", 97.4),
            (MEMORY, "gpu+cpu", 9.5),
        )
    )
    costs.live = LivePower(
        level="gpu+cpu",
        error_share=0.05,
        parts=parts,
        watts=494.9,
        tokens_per_s=24.3,
        joules_per_token=20.4,
        money_per_hour=Decimal("0.1584"),
    )
    costs.curves = {span: _curve(span) for span in ("minute", "hour", "day", "month")}
    costs.counted_meters = Meters(
        counted=tuple(
            MeterState(source=p.source, level=p.level, error_share=p.error_share) for p in parts
        ),
        level="gpu+cpu",
    )
    costs.told_advice = Advice(
        sentences=(
            "At rest with a model loaded it draws 119 W, 27.80 USD a month.",
            "Unloading the model saves 48 W, 11.21 USD a month if it were always so.",
        ),
        level="gpu+cpu",
        currency="USD",
    )


def _curve(span: str) -> PowerCurve:
    step, length = POINT_S[span], SPAN_S[span]  # type: ignore[index]
    count = length // step
    points = []
    for number in range(count):
        is_busy = number % 40 > 12
        gpu = 62 + (330 + 40 * math.sin(number / 5) if is_busy else 8 * math.sin(number))
        cpu = 48 + (50 + 10 * math.sin(number / 3) if is_busy else 3)
        is_lost = 0.55 < number / count < 0.6
        points.append(
            PowerPoint(
                at=NOW - length + number * step,
                watts=(None if is_lost else gpu, cpu, 9.5),
                tokens_per_s=24 + 6 * math.sin(number / 4) if is_busy else 0.0,
            )
        )
    return PowerCurve(
        span=span,  # type: ignore[arg-type]
        span_s=length,
        point_s=step,
        parts=(GPU, CPU, MEMORY),
        points=tuple(points),
    )
