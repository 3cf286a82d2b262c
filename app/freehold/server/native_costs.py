"""Routes of costs: what is drawn, what it costs, and whether owning pays."""

from __future__ import annotations

import asyncio
from typing import Final, TypeVar, get_args

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from freehold.chats.text import check_text
from freehold.errors import AppError
from freehold.ledger.comparison import own_or_rent
from freehold.server.capacity import capacity, peak_tokens_per_s
from freehold.server.native_json import answer, read, require_local
from freehold.server.wiring import House
from freehold.wire import Changed
from freehold.wire_costs import By, CostsSettings, OwnOrRent, SeriesImport, TariffPlan
from freehold.wire_power import PlugTrial, PowerSpan

TOPIC: Final = "costs"
TYPES: Final = {"csv": "text/csv; charset=utf-8", "pdf": "application/pdf"}

T = TypeVar("T")


def router(house: House) -> APIRouter:
    """Return the routes of costs; what changes something works on this machine alone."""
    routes = APIRouter(prefix="/costs")
    _add_figures(routes, house)
    _add_power(routes, house)
    _add_trials(routes, house)
    _add_choices(routes, house)
    return routes


def _add_figures(routes: APIRouter, house: House) -> None:
    desk = house.costs

    @routes.post("/own-or-rent")
    async def compare(request: Request) -> Response:
        return answer(own_or_rent(await read(request, OwnOrRent)))

    @routes.get("/prices")
    async def prices(_request: Request) -> Response:
        return answer(await asyncio.to_thread(desk.price_list))

    @routes.post("/prices/copy")
    async def copy_prices(request: Request) -> Response:
        require_local(request)
        path = await asyncio.to_thread(desk.copy_prices)
        return answer({"path": str(path)})

    @routes.get("/summary")
    async def summary(request: Request) -> Response:
        by: By = _one_of(request, "by", "person", get_args(By))
        return answer(await desk.summary(_month(request), by))

    @routes.get("/payback")
    async def payback(_request: Request) -> Response:
        return answer(await desk.payback())

    @routes.get("/statement")
    async def statement(request: Request) -> Response:
        form: str = _one_of(request, "form", "csv", tuple(TYPES))
        month = _month(request) or desk.this_month()
        content = await desk.statement(month, form)
        name = f'attachment; filename="freehold-{month}.{form}"'
        return Response(content, media_type=TYPES[form], headers={"content-disposition": name})


def _add_power(routes: APIRouter, house: House) -> None:
    power = house.power

    @routes.get("/power")
    async def live(_request: Request) -> Response:
        return answer(power.live())

    @routes.get("/power/history")
    async def history(request: Request) -> Response:
        span: PowerSpan = _one_of(request, "span", "minute", get_args(PowerSpan))
        return answer(power.curve(span))

    @routes.get("/capacity")
    async def served(_request: Request) -> Response:
        peak = peak_tokens_per_s(house.metering.history)
        return answer(capacity(house.engines.states(), peak))

    @routes.get("/meters")
    async def meters(_request: Request) -> Response:
        return answer(await asyncio.to_thread(power.meters))

    @routes.get("/advice")
    async def advice(_request: Request) -> Response:
        return answer(await asyncio.to_thread(power.advice))

    @routes.put("/plug")
    async def set_plug(request: Request) -> Response:
        require_local(request)
        wanted = await read(request, PlugTrial)
        return await _changed(house, await power.set_plug(wanted))

    @routes.delete("/plug")
    async def forget_plug(request: Request) -> Response:
        require_local(request)
        return await _changed(house, await power.set_plug(None))


def _add_trials(routes: APIRouter, house: House) -> None:
    calibrating, limits = house.trials.calibrating, house.trials.limits

    @routes.get("/calibration")
    async def calibration(_request: Request) -> Response:
        return answer(calibrating.state)

    @routes.post("/calibration")
    async def calibrate(request: Request) -> Response:
        require_local(request)
        return answer(calibrating.start())

    @routes.post("/calibration/cancel")
    async def cancel_calibration(request: Request) -> Response:
        require_local(request)
        return answer(await calibrating.cancel())

    @routes.delete("/calibration")
    async def forget_calibration(request: Request) -> Response:
        require_local(request)
        await house.power.keep_calibration(None)
        return await _changed(house, await asyncio.to_thread(house.power.meters))

    @routes.get("/limits")
    async def sweep(_request: Request) -> Response:
        return answer(await limits.state())

    @routes.post("/limits")
    async def measure_limit(request: Request) -> Response:
        require_local(request)
        return answer(await limits.measure())

    @routes.post("/limits/cancel")
    async def cancel_limit(request: Request) -> Response:
        require_local(request)
        return answer(await limits.cancel())

    @routes.delete("/limits")
    async def forget_limits(request: Request) -> Response:
        require_local(request)
        return answer(await limits.forget())


def _add_choices(routes: APIRouter, house: House) -> None:
    desk = house.costs

    @routes.get("/tariff")
    async def tariff(_request: Request) -> Response:
        return answer(await asyncio.to_thread(desk.tariff_state))

    @routes.put("/tariff")
    async def save_tariff(request: Request) -> Response:
        require_local(request)
        plan = await read(request, TariffPlan)
        state = await asyncio.to_thread(desk.save_tariff, plan)
        await desk.note_tariff()
        return await _changed(house, state)

    @routes.post("/tariff/prices")
    async def import_prices(request: Request) -> Response:
        require_local(request)
        wanted = await read(request, SeriesImport)
        state = await asyncio.to_thread(desk.import_series, wanted)
        return await _changed(house, state)

    @routes.delete("/tariff")
    async def forget_tariff(request: Request) -> Response:
        require_local(request)
        state = await asyncio.to_thread(desk.forget_tariff)
        await desk.note_tariff()
        return await _changed(house, state)

    @routes.get("/settings")
    async def settings(_request: Request) -> Response:
        return answer(desk.own.current)

    @routes.put("/settings")
    async def save_settings(request: Request) -> Response:
        require_local(request)
        wanted = await read(request, CostsSettings)
        before = desk.own.current
        # A plug is tried before it is kept, and a calibration is measured: they have their routes.
        kept = msgspec.structs.replace(wanted, plug=before.plug, calibration=before.calibration)
        kept = await asyncio.to_thread(desk.own.save, kept)
        if kept.supply_efficiency != before.supply_efficiency:
            await house.power.use_own()
        return await _changed(house, kept)


async def _changed(house: House, value: object) -> Response:
    house.bus.publish(Changed(topic=TOPIC))
    return answer(value)


def _month(request: Request) -> str:
    return check_text(request.query_params.get("month", ""), name="month", limit=20)


def _one_of(request: Request, name: str, default: T, allowed: tuple[T, ...]) -> T:
    value = request.query_params.get(name, default)
    for known in allowed:
        if value == known:
            return known
    raise AppError(
        "invalid_request",
        f"{name} cannot be {str(value)[:40]!r}.",
        f"Use one of: {', '.join(str(known) for known in allowed)}.",
        detail={"param": name},
    )
