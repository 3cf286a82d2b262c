"""Routes of the machine: what it is made of, and what fits it."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from freehold.chats.text import check_text
from freehold.server.native_json import answer, read
from freehold.server.wiring import House
from freehold.wire_machine import PlanRequest


def router(house: House) -> APIRouter:
    """Return the routes; they change nothing."""
    routes = APIRouter(prefix="/machine")

    @routes.get("")
    async def machine(_request: Request) -> Response:
        return answer(await house.machine.state())

    @routes.post("/plan")
    async def plan(request: Request) -> Response:
        asked = await read(request, PlanRequest)
        check_text(asked.ref, name="ref", limit=4096)
        return answer(await house.machine.plan(asked))

    return routes
