"""Freehold's own API, `/freehold/v1`: it mirrors `client/protocol.py` one to one."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
from collections.abc import AsyncIterator
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from freehold import __version__
from freehold.errors import AppError
from freehold.server import (
    native_chats,
    native_costs,
    native_documents,
    native_files,
    native_library,
    native_machine,
    native_models,
)
from freehold.server.bus import HEARTBEAT_S, Bus
from freehold.server.native_json import PREFIX, answer, done, query_number, read, require_local
from freehold.server.wiring import House
from freehold.wire import API_VERSION, Changed, Hello, ServerInfo, Settings, State

MIN_NONCE: Final = 16
MAX_NONCE: Final = 128


def router(house: House) -> APIRouter:
    """Return the routes of Freehold's own API."""
    routes = APIRouter(prefix=PREFIX)

    @routes.get("/hello")
    async def hello(request: Request) -> Response:
        nonce = request.query_params.get("nonce", "")
        if nonce and not (MIN_NONCE <= len(nonce) <= MAX_NONCE and nonce.isascii()):
            raise AppError(
                "invalid_request",
                f"The nonce must have {MIN_NONCE} to {MAX_NONCE} ASCII characters.",
                "Send a fresh random one.",
                detail={"param": "nonce"},
            )
        return answer(
            Hello(
                api=API_VERSION,
                version=__version__,
                instance_id=house.instance_id,
                pid=os.getpid(),
                proof=house.key.prove(nonce) if nonce else "",
            )
        )

    @routes.get("/state")
    async def state(_request: Request) -> Response:
        # The number first: what changes while the rest is read is told again, never missed.
        seq = house.bus.seq
        free = await asyncio.to_thread(_free_bytes, house)
        return answer(
            State(
                seq=seq,
                server=_server_info(house, free),
                models=await house.library.entries(),
                engines=house.engines.states(),
                settings=house.settings.current,
            )
        )

    @routes.get("/events")
    async def events(request: Request) -> Response:
        after = query_number(request, "after")
        place = house.bus.seq if after is None else after
        house.say_unsaid()
        return StreamingResponse(
            event_lines(house.bus, place),
            media_type="text/event-stream",
            headers={"x-accel-buffering": "no"},
        )

    _add_upkeep(routes, house)
    routes.include_router(native_models.router(house))
    routes.include_router(native_library.router(house))
    routes.include_router(native_files.router(house))
    routes.include_router(native_chats.router(house))
    routes.include_router(native_costs.router(house))
    routes.include_router(native_machine.router(house))
    routes.include_router(native_documents.router(house))
    return routes


def _add_upkeep(routes: APIRouter, house: House) -> None:
    @routes.get("/settings")
    async def settings(_request: Request) -> Response:
        return answer(house.settings.current)

    @routes.put("/settings")
    async def save_settings(request: Request) -> Response:
        require_local(request)
        wanted = await read(request, Settings)
        stored = await asyncio.to_thread(house.settings.save, wanted)
        house.bus.publish(Changed(topic="settings"))
        return answer(stored)

    @routes.get("/key")
    async def key(request: Request) -> Response:
        require_local(request)
        return answer({"key": house.key.value})

    @routes.post("/shutdown")
    async def shutdown(request: Request) -> Response:
        require_local(request)
        # After this answer has been sent.
        asyncio.get_running_loop().call_later(0.05, house.stop)
        return done()


async def event_lines(
    bus: Bus, after: int, *, heartbeat_s: float = HEARTBEAT_S
) -> AsyncIterator[bytes]:
    """Yield the event stream as server-sent events, with a comment when nothing happens."""
    yield b": freehold\n\n"
    async for item in bus.follow(after, heartbeat_s=heartbeat_s):
        if item is None:
            yield b": still here\n\n"
        else:
            seq, data = item
            yield b"id: %d\ndata: %s\n\n" % (seq, data)


def _server_info(house: House, free_bytes: int) -> ServerInfo:
    address = house.address
    backends = {engine.backend for engine in house.engines.states() if engine.backend}
    return ServerInfo(
        version=__version__,
        instance_id=house.instance_id,
        pid=os.getpid(),
        started_at=house.started_at,
        host=address.host if address else "",
        port=address.port if address else 0,
        base_url=address.base_url if address else "",
        data_folder=str(house.paths.data),
        data_bytes_free=free_bytes,
        hostname=platform.node(),
        backend=", ".join(sorted(backends)),
        requests=house.counters.total_requests,
        clients=house.bus.readers,
        api_enabled=house.settings.current.api_enabled,
    )


def _free_bytes(house: House) -> int:
    try:
        return shutil.disk_usage(house.paths.data).free
    except OSError:
        return 0
