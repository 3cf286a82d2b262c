"""Routes of models: taking them into the library, loading and unloading them."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from freehold.chats.text import check_text
from freehold.server.native_json import answer, done, read, require_local
from freehold.server.wiring import House
from freehold.wire import LoadRequest


class ImportBody(msgspec.Struct, frozen=True):
    """The file to take in, on the server's machine."""

    path: str


class RefBody(msgspec.Struct, frozen=True):
    """The model meant."""

    ref: str


class RemoveBody(msgspec.Struct, frozen=True):
    """The model to forget."""

    ref: str
    delete_files: bool = False


class LoadBody(msgspec.Struct, frozen=True):
    """The model to load, and how."""

    ref: str
    request: LoadRequest | None = None


def router(house: House) -> APIRouter:
    """Return the routes of models; they work for callers on this machine."""
    routes = APIRouter(prefix="/models")

    @routes.get("")
    async def models(_request: Request) -> Response:
        return answer(await house.library.entries())

    @routes.post("/import")
    async def import_model(request: Request) -> Response:
        require_local(request)
        body = await read(request, ImportBody)
        return answer(await house.library.import_file(check_text(body.path, limit=4096)))

    @routes.post("/remove")
    async def remove_model(request: Request) -> Response:
        require_local(request)
        body = await read(request, RemoveBody)
        ref = (await house.library.find(_ref(body.ref))).ref
        if any(engine.ref == ref for engine in house.engines.states()):
            await house.engines.unload(ref)
        freed = await house.library.remove(ref, delete_files=body.delete_files)
        return answer({"freed_bytes": freed})

    @routes.post("/load")
    async def load_model(request: Request) -> Response:
        require_local(request)
        body = await read(request, LoadBody)
        await house.engines.load(_ref(body.ref), body.request)
        return done()

    @routes.post("/unload")
    async def unload_model(request: Request) -> Response:
        require_local(request)
        body = await read(request, RefBody)
        await house.engines.unload(_ref(body.ref))
        return done()

    return routes


def _ref(text: str) -> str:
    return check_text(text, name="ref", limit=4096)
