"""The costs part of the `Client` seam, reached as `client.costs`.

Two bodies exist, `HttpCosts` here and `tests/doubles/costs.py:FakeCosts`; one contract test runs
on both. Every method raises `AppError`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol, TypeVar

import msgspec

from freehold.client.calls import Call, Decode
from freehold.wire_costs import (
    By,
    CostsSettings,
    CostSummary,
    OwnOrRent,
    OwnOrRentAnswer,
    Payback,
    PriceList,
    SeriesImport,
    SeriesState,
    TariffPlan,
    TariffState,
)
from freehold.wire_power import (
    Advice,
    CalibrationState,
    Capacity,
    LimitState,
    LivePower,
    Meters,
    Plug,
    PlugTrial,
    PowerCurve,
    PowerSpan,
)

Form = Literal["csv", "pdf"]
T = TypeVar("T")


class CostsClient(Protocol):
    """What a server knows of power and money."""

    async def own_or_rent(self, question: OwnOrRent) -> OwnOrRentAnswer:
        """Return every figure of a comparison; `invalid_request` names a figure that cannot be."""
        ...

    async def prices(self) -> PriceList:
        """Return the prices to compare with."""
        ...

    async def copy_prices(self) -> str:
        """Begin the person's own price list; return its path (local clients only)."""
        ...

    async def summary(self, month: str = "", by: By = "person") -> CostSummary:
        """Return a month of the ledger rolled up; an empty month means this one."""
        ...

    async def payback(self) -> Payback:
        """Return what owning has brought so far."""
        ...

    async def statement(self, month: str, form: Form) -> bytes:
        """Return a month's statement as a file."""
        ...

    async def power(self) -> LivePower:
        """Return what the machine draws now."""
        ...

    async def history(self, span: PowerSpan) -> PowerCurve:
        """Return a span of power."""
        ...

    async def meters(self) -> Meters:
        """Return the meters counted together, and what could be added."""
        ...

    async def set_plug(self, plug: Plug | PlugTrial | None) -> Meters:
        """Read the machine by a plug or board, which is tried first, or no longer (local only)."""
        ...

    async def calibration(self) -> CalibrationState:
        """Return how far a calibration beside a plug is."""
        ...

    async def calibrate(self) -> CalibrationState:
        """Begin a calibration, which takes ten minutes (local clients only)."""
        ...

    async def cancel_calibration(self) -> CalibrationState:
        """End a calibration without a result (local clients only)."""
        ...

    async def forget_calibration(self) -> Meters:
        """Count the rest of the machine no longer by a calibration (local clients only)."""
        ...

    async def capacity(self) -> Capacity:
        """Return how many people the loaded model serves at once."""
        ...

    async def limits(self) -> LimitState:
        """Return the power-limit sweep."""
        ...

    async def measure_limit(self) -> LimitState:
        """Begin to measure a minute at the limit that is set now (local clients only)."""
        ...

    async def cancel_limit(self) -> LimitState:
        """End that without a point (local clients only)."""
        ...

    async def forget_limits(self) -> LimitState:
        """Remove the points of the sweep (local clients only)."""
        ...

    async def advice(self) -> Advice:
        """Return what could be saved."""
        ...

    async def tariff(self) -> TariffState:
        """Return the tariff in force."""
        ...

    async def save_tariff(self, plan: TariffPlan | None) -> TariffState:
        """Store a tariff, or none; `invalid_request` names holes and overlaps (local only)."""
        ...

    async def import_prices(self, wanted: SeriesImport) -> SeriesState:
        """Keep prices by time from a CSV file, for a tariff with `series`; holes and overlaps
        are named and refused (local clients only)."""
        ...

    async def settings(self) -> CostsSettings:
        """Return what the person owns and holds it against."""
        ...

    async def save_settings(self, settings: CostsSettings) -> CostsSettings:
        """Store what the person owns; the plug is changed by `set_plug` alone (local only)."""
        ...


class HttpCosts:
    """`CostsClient` over the connection of an `HttpClient`."""

    def __init__(self, call: Call, decode: Decode) -> None:
        self._call = call
        self._decode = decode

    async def own_or_rent(self, question: OwnOrRent) -> OwnOrRentAnswer:
        """Return every figure of a comparison."""
        return await self._send("POST", "/own-or-rent", OwnOrRentAnswer, question)

    async def prices(self) -> PriceList:
        """Return the prices to compare with."""
        return await self._send("GET", "/prices", PriceList)

    async def copy_prices(self) -> str:
        """Begin the person's own price list; return its path."""
        return (await self._send("POST", "/prices/copy", dict[str, str]))["path"]

    async def summary(self, month: str = "", by: By = "person") -> CostSummary:
        """Return a month of the ledger rolled up."""
        return await self._send("GET", "/summary", CostSummary, params={"month": month, "by": by})

    async def payback(self) -> Payback:
        """Return what owning has brought so far."""
        return await self._send("GET", "/payback", Payback)

    async def statement(self, month: str, form: Form) -> bytes:
        """Return a month's statement as a file."""
        params = {"month": month, "form": form}
        return (await self._call("GET", "/costs/statement", params=params, repeat=True)).content

    async def power(self) -> LivePower:
        """Return what the machine draws now."""
        return await self._send("GET", "/power", LivePower)

    async def history(self, span: PowerSpan) -> PowerCurve:
        """Return a span of power."""
        return await self._send("GET", "/power/history", PowerCurve, params={"span": span})

    async def meters(self) -> Meters:
        """Return the meters counted together, and what could be added."""
        return await self._send("GET", "/meters", Meters)

    async def set_plug(self, plug: Plug | PlugTrial | None) -> Meters:
        """Read the machine by a plug or board, or no longer."""
        return await self._send("DELETE" if plug is None else "PUT", "/plug", Meters, plug)

    async def calibration(self) -> CalibrationState:
        """Return how far a calibration is."""
        return await self._send("GET", "/calibration", CalibrationState)

    async def calibrate(self) -> CalibrationState:
        """Begin a calibration."""
        return await self._send("POST", "/calibration", CalibrationState)

    async def cancel_calibration(self) -> CalibrationState:
        """End a calibration without a result."""
        return await self._send("POST", "/calibration/cancel", CalibrationState)

    async def forget_calibration(self) -> Meters:
        """Count the rest of the machine no longer by a calibration."""
        return await self._send("DELETE", "/calibration", Meters)

    async def capacity(self) -> Capacity:
        """Return how many people the loaded model serves at once."""
        return await self._send("GET", "/capacity", Capacity)

    async def limits(self) -> LimitState:
        """Return the power-limit sweep."""
        return await self._send("GET", "/limits", LimitState)

    async def measure_limit(self) -> LimitState:
        """Begin to measure at the limit that is set now."""
        return await self._send("POST", "/limits", LimitState)

    async def cancel_limit(self) -> LimitState:
        """End a measurement without a point."""
        return await self._send("POST", "/limits/cancel", LimitState)

    async def forget_limits(self) -> LimitState:
        """Remove the points of the sweep."""
        return await self._send("DELETE", "/limits", LimitState)

    async def advice(self) -> Advice:
        """Return what could be saved."""
        return await self._send("GET", "/advice", Advice)

    async def tariff(self) -> TariffState:
        """Return the tariff in force."""
        return await self._send("GET", "/tariff", TariffState)

    async def save_tariff(self, plan: TariffPlan | None) -> TariffState:
        """Store a tariff, or none."""
        return await self._send("DELETE" if plan is None else "PUT", "/tariff", TariffState, plan)

    async def import_prices(self, wanted: SeriesImport) -> SeriesState:
        """Keep prices by time from a CSV file."""
        return await self._send("POST", "/tariff/prices", SeriesState, wanted)

    async def settings(self) -> CostsSettings:
        """Return what the person owns and holds it against."""
        return await self._send("GET", "/settings", CostsSettings)

    async def save_settings(self, settings: CostsSettings) -> CostsSettings:
        """Store what the person owns."""
        return await self._send("PUT", "/settings", CostsSettings, settings)

    async def _send(
        self,
        method: str,
        path: str,
        kind: type[T],
        body: msgspec.Struct | None = None,
        params: Mapping[str, str] | None = None,
    ) -> T:
        # Every one of these calls may be sent twice without harm.
        response = await self._call(method, f"/costs{path}", body, params=params, repeat=True)
        return self._decode(response, kind)
