"""Routes of the library beyond this machine: the hub, its models, downloads and the token."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from freehold.server.native_json import answer, done, read, require_local
from freehold.server.wiring import House
from freehold.wire_library import FileChecksum, HubQuery

Repository = Annotated[str, msgspec.Meta(min_length=3, max_length=200)]
Name = Annotated[str, msgspec.Meta(max_length=400)]


class VariantBody(msgspec.Struct, frozen=True):
    """A repository, and the variant meant; "" leaves the choice to Freehold."""

    repository: Repository
    variant: Name = ""


class MoveBody(msgspec.Struct, frozen=True):
    """The place in the queue, 0 is first."""

    place: Annotated[int, msgspec.Meta(ge=0, le=100_000)]


class TokenBody(msgspec.Struct, frozen=True):
    """The token to keep; "" forgets the one that is kept."""

    token: Annotated[str, msgspec.Meta(max_length=400)]


class RefBody(msgspec.Struct, frozen=True):
    """The model meant."""

    ref: Name


def router(house: House) -> APIRouter:
    """Return the routes; what changes something works for callers on this machine."""
    routes = APIRouter(prefix="/library")
    _add_hub(routes, house)
    _add_downloads(routes, house)
    return routes


def _add_hub(routes: APIRouter, house: House) -> None:
    @routes.get("/catalog")
    async def catalog(_request: Request) -> Response:
        return answer(await house.rooms.finder.catalog())

    @routes.post("/search")
    async def search(request: Request) -> Response:
        require_local(request)
        return answer(await house.rooms.finder.search(await read(request, HubQuery)))

    @routes.post("/page")
    async def page(request: Request) -> Response:
        require_local(request)
        body = await read(request, VariantBody)
        return answer(await house.rooms.finder.page(body.repository))

    @routes.post("/facts")
    async def facts(request: Request) -> Response:
        require_local(request)
        body = await read(request, VariantBody)
        return answer(await house.rooms.finder.facts(body.repository, body.variant))

    @routes.get("/account")
    async def account(request: Request) -> Response:
        require_local(request)
        return answer(await house.rooms.finder.account())

    @routes.put("/account")
    async def save_token(request: Request) -> Response:
        require_local(request)
        body = await read(request, TokenBody)
        return answer(await house.rooms.finder.save_token(body.token))


def _add_downloads(routes: APIRouter, house: House) -> None:
    @routes.get("/downloads")
    async def downloads(_request: Request) -> Response:
        return answer(house.rooms.downloads.all())

    @routes.post("/downloads")
    async def add(request: Request) -> Response:
        require_local(request)
        body = await read(request, VariantBody)
        chosen = await house.rooms.finder.choose(body.repository, body.variant)
        return answer(
            await house.rooms.downloads.add(
                chosen.repository, chosen.variant, chosen.revision, chosen.alternatives
            )
        )

    @routes.post("/downloads/{identifier}/pause")
    async def pause(request: Request) -> Response:
        require_local(request)
        return answer(await house.rooms.downloads.pause(request.path_params["identifier"]))

    @routes.post("/downloads/{identifier}/resume")
    async def resume(request: Request) -> Response:
        require_local(request)
        return answer(await house.rooms.downloads.resume(request.path_params["identifier"]))

    @routes.post("/downloads/{identifier}/move")
    async def move(request: Request) -> Response:
        require_local(request)
        body = await read(request, MoveBody)
        await house.rooms.downloads.move(request.path_params["identifier"], body.place)
        return done()

    @routes.delete("/downloads/{identifier}")
    async def cancel(request: Request) -> Response:
        require_local(request)
        await house.rooms.downloads.cancel(request.path_params["identifier"])
        return done()

    @routes.post("/checksums")
    async def checksums(request: Request) -> Response:
        require_local(request)
        ref = (await house.library.find((await read(request, RefBody)).ref)).ref
        item = house.rooms.downloads.files_of(ref)
        if item is None:
            return answer(())
        folder = house.rooms.downloads.folder_of(item)
        return answer(
            tuple(
                FileChecksum(path=str(folder / file.path), bytes=file.bytes, sha256=file.sha256)
                for file in item.files
                if file.sha256 is not None
            )
        )
