"""Routes of the machine: what it is made of, what fits it, and measuring both."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from freehold.chats.text import check_text
from freehold.server.native_json import answer, read
from freehold.server.wiring import House
from freehold.wire_machine import PlanRequest, TunedUse, TuneRequest


def router(house: House) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/machine")

    @routes.get("")
    async def machine(_request: Request) -> Response:
        return answer(await house.machine.state())

    @routes.post("/plan")
    async def plan(request: Request) -> Response:
        asked = await read(request, PlanRequest)
        check_text(asked.ref, name="ref", limit=4096)
        return answer(await house.machine.plan(asked))

    @routes.post("/calibrate", status_code=202)
    async def calibrate(_request: Request) -> Response:
        house.machine.begin_calibration()
        return answer(await house.machine.state())

    @routes.delete("/job")
    async def cancel(_request: Request) -> Response:
        await house.machine.jobs.cancel()
        return answer(await house.machine.state())

    @routes.post("/tune", status_code=202)
    async def tune(request: Request) -> Response:
        asked = await read(request, TuneRequest)
        check_text(asked.ref, name="ref", limit=4096)
        await house.library.resolve(asked.ref)
        house.machine.begin_tuning(
            asked.ref, lambda tell: house.tuning.tune(asked.ref, tell, asked.budget_s)
        )
        return answer(await house.machine.state())

    @routes.get("/setup")
    async def setup(request: Request) -> Response:
        ref = request.query_params.get("ref", "")
        check_text(ref, name="ref", limit=4096)
        await house.library.resolve(ref)
        return answer(await house.tuning.setup(ref))

    @routes.post("/tuned")
    async def use_tuned(request: Request) -> Response:
        asked = await read(request, TunedUse)
        check_text(asked.ref, name="ref", limit=4096)
        await house.tuning.use(asked.ref, as_tuned=asked.as_tuned)
        return answer(await house.tuning.setup(asked.ref))

    return routes
