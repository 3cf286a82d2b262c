"""The ASGI application: routes behind the gate."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from freehold.errors import AppError, internal
from freehold.server import native
from freehold.server.allow_list import AllowList
from freehold.server.error_answers import error_response
from freehold.server.gate import App, Gate
from freehold.server.key_check import KeyCheck
from freehold.server.metrics import render_metrics
from freehold.server.openai_chat import answer_chat
from freehold.server.openai_completions import answer_completion
from freehold.server.openai_embeddings import answer_embedding
from freehold.server.openai_models import list_models, show_model
from freehold.server.wiring import House

Handler = Callable[[House, Request], Awaitable[Any]]

NOBODY = AllowList(frozenset(), frozenset())


def create_app(house: House) -> App:
    """Return the application that serves `house`."""
    return Gate(
        create_routes(house),
        lambda: house.address.allow_list() if house.address else NOBODY,
        KeyCheck(house.key),
        lambda: house.is_ending,
    )


def create_routes(house: House) -> FastAPI:
    """Return the routes alone, without the gate; tests enumerate them."""
    app = FastAPI(title="Freehold", openapi_url=None, docs_url=None, redoc_url=None)
    app.router.redirect_slashes = False
    for path, method, handler in (
        ("/health", "GET", health),
        ("/metrics", "GET", metrics),
        ("/v1/models", "GET", list_models),
        ("/v1/models/{ref:path}", "GET", show_model),
        ("/v1/chat/completions", "POST", answer_chat),
        ("/v1/completions", "POST", answer_completion),
        ("/v1/embeddings", "POST", answer_embedding),
    ):
        endpoint = functools.partial(_call, house, handler)
        app.router.routes.append(Route(path, endpoint, methods=[method], name=handler.__name__))
    app.include_router(native.router(house))
    app.add_exception_handler(AppError, _answer_app_error)
    app.add_exception_handler(HTTPException, _answer_http_error)
    app.add_exception_handler(Exception, _answer_bug)
    return app


async def _call(house: House, handler: Handler, request: Request) -> Any:
    if request.url.path.startswith("/v1/") and not house.settings.current.api_enabled:
        raise AppError(
            "forbidden",
            "The server for other programs is switched off.",
            "Switch it on in Freehold's settings or from its tray icon.",
        )
    return await handler(house, request)


async def health(_house: House, _request: Request) -> Response:
    """Answer that the server is up; needs no key and says nothing else."""
    return Response('{"status":"ok"}', media_type="application/json")


async def metrics(house: House, _request: Request) -> Response:
    """Answer with the counters for Prometheus."""
    text = render_metrics(house.counters, house.engines.states(), house.bus.readers)
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


def _answer_app_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, AppError)
    return error_response(error, request.url.path)


def _answer_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        answer = AppError(
            "method_not_allowed",
            f"{request.method} is not possible here.",
            "Look at the documentation of this route.",
        )
    else:
        answer = AppError("not_found", "There is nothing at this address.", "Check the path.")
    return error_response(answer, request.url.path)


def _answer_bug(request: Request, _error: Exception) -> Response:
    return error_response(internal(), request.url.path)  # the gate logs it
