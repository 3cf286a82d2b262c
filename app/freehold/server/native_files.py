"""Routes of model files: what is in them, and what is made from them."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from freehold.library.inspector import BASE
from freehold.server.native_json import answer, done, read, require_local
from freehold.server.wiring import House
from freehold.wire_files import ConvertRequest, QuantiseRequest

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]


class RefBody(msgspec.Struct, frozen=True):
    """The model meant."""

    ref: Name


class CompareBody(msgspec.Struct, frozen=True):
    """The model meant, and the one its chat template is compared with."""

    ref: Name
    other: Name


def router(house: House) -> APIRouter:
    """Return the routes; what makes or fetches something works for callers on this machine."""
    routes = APIRouter(prefix="/files")

    @routes.post("/anatomy")
    async def anatomy(request: Request) -> Response:
        return answer(await house.rooms.inspector.anatomy((await read(request, RefBody)).ref))

    @routes.post("/tensors")
    async def tensors(request: Request) -> Response:
        return answer(await house.rooms.inspector.tensors((await read(request, RefBody)).ref))

    @routes.post("/templates")
    async def templates(request: Request) -> Response:
        body = await read(request, CompareBody)
        if body.other == BASE:
            require_local(request)  # it makes this machine ask the hub
        return answer(await house.rooms.inspector.compare(body.ref, body.other))

    @routes.get("/duplicates")
    async def duplicates(request: Request) -> Response:
        require_local(request)
        return answer(await house.rooms.duplicates.find())

    _add_making(routes, house)
    return routes


def _add_making(routes: APIRouter, house: House) -> None:
    @routes.get("/making")
    async def all_making(_request: Request) -> Response:
        return answer(house.rooms.workshop.all())

    @routes.post("/quantise/plan")
    async def plan(request: Request) -> Response:
        require_local(request)
        return answer(await house.rooms.workshop.plan(await read(request, QuantiseRequest)))

    @routes.post("/quantise")
    async def quantise(request: Request) -> Response:
        require_local(request)
        return answer(await house.rooms.workshop.quantise(await read(request, QuantiseRequest)))

    @routes.post("/convert")
    async def convert(request: Request) -> Response:
        require_local(request)
        return answer(await house.rooms.workshop.convert(await read(request, ConvertRequest)))

    @routes.delete("/making/{identifier}")
    async def cancel(request: Request) -> Response:
        require_local(request)
        await house.rooms.workshop.cancel(request.path_params["identifier"])
        return done()
