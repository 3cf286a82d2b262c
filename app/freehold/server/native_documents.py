"""Routes of documents: files are read where they lie on this machine, then asked about."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from freehold.documents.limits import MAX_FILES
from freehold.server.native_json import answer, done, query_number, read, require_local
from freehold.server.wiring import House

Identifier = Annotated[str, msgspec.Meta(max_length=64)]


class PathBody(msgspec.Struct, frozen=True):
    """The file meant, by its full path."""

    path: Annotated[str, msgspec.Meta(min_length=1, max_length=8192)]


class QuestionBody(msgspec.Struct, frozen=True, kw_only=True):
    """What to ask, of which documents, and of which model ("": the default)."""

    documents: Annotated[tuple[Identifier, ...], msgspec.Meta(max_length=MAX_FILES)]
    question: str
    model: Annotated[str, msgspec.Meta(max_length=1024)] = ""


def router(house: House) -> APIRouter:
    """Return the routes; they work for callers on this machine, whose files they read."""
    routes = APIRouter(prefix="/documents")
    desk = house.documents

    @routes.post("")
    async def add(request: Request) -> Response:
        require_local(request)
        return answer(await desk.add((await read(request, PathBody)).path))

    @routes.get("")
    async def documents(request: Request) -> Response:
        require_local(request)
        return answer(await desk.documents())

    @routes.post("/questions")
    async def ask(request: Request) -> Response:
        require_local(request)
        body = await read(request, QuestionBody)
        return answer(await desk.ask(body.documents, body.question, body.model))

    @routes.get("/questions/{question_id}")
    async def question(request: Request, question_id: str) -> Response:
        require_local(request)
        return answer(await desk.question(question_id, _wait_s(request)))

    @routes.delete("/questions/{question_id}")
    async def stop(request: Request, question_id: str) -> Response:
        require_local(request)
        await desk.stop(question_id)
        return done()

    @routes.get("/{document_id}")
    async def document(request: Request, document_id: str) -> Response:
        require_local(request)
        return answer(await desk.document(document_id, _wait_s(request)))

    @routes.delete("/{document_id}")
    async def remove(request: Request, document_id: str) -> Response:
        require_local(request)
        await desk.remove(document_id)
        return done()

    return routes


def _wait_s(request: Request) -> float:
    return float(query_number(request, "wait_s") or 0)
