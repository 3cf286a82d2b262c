"""Routes of documents: files are read where they lie or as they arrive, then asked about."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from freehold.documents.limits import MAX_FILES
from freehold.errors import AppError
from freehold.server.native_json import answer, done, query_number, read, require_local
from freehold.server.wiring import House
from freehold.wire_documents import Choice

Identifier = Annotated[str, msgspec.Meta(max_length=64)]
FullPath = Annotated[str, msgspec.Meta(min_length=1, max_length=8192)]
MAX_FILE_NAME = 1000


class PathBody(msgspec.Struct, frozen=True):
    """The file meant, by its full path."""

    path: FullPath


class QuestionBody(msgspec.Struct, frozen=True, kw_only=True):
    """What to ask, of which documents, and of which model ("": the default)."""

    documents: Annotated[tuple[Identifier, ...], msgspec.Meta(max_length=MAX_FILES)]
    question: str
    model: Annotated[str, msgspec.Meta(max_length=1024)] = ""
    collections: Annotated[tuple[Identifier, ...], msgspec.Meta(max_length=20)] = ()


class ModelBody(msgspec.Struct, frozen=True):
    """The model to use for a part of the search."""

    role: Literal["embedder", "reranker"]
    ref: Annotated[str, msgspec.Meta(max_length=1024)] = ""


class ChatBody(msgspec.Struct, frozen=True):
    """What to change of a chat's documents; None leaves it."""

    documents: tuple[Identifier, ...] | None = None
    collections: tuple[Identifier, ...] | None = None
    choice: Choice | None = None


class NewCollectionBody(msgspec.Struct, frozen=True):
    """A new collection."""

    name: str
    sources: tuple[FullPath, ...] = ()


class CollectionBody(msgspec.Struct, frozen=True):
    """What to change of a collection; None leaves it."""

    name: str | None = None
    sources: tuple[FullPath, ...] | None = None
    paused: bool | None = None


def router(house: House) -> APIRouter:
    """Return the routes of documents, of chats' documents and of collections."""
    routes = APIRouter()
    _add_questions(routes, house)
    _add_documents(routes, house)
    _add_reader(routes, house)
    _add_chats(routes, house)
    _add_collections(routes, house)
    return routes


def _add_questions(routes: APIRouter, house: House) -> None:
    desk = house.documents.questions

    @routes.post("/documents/questions")
    async def ask(request: Request) -> Response:
        body = await read(request, QuestionBody)
        return answer(await desk.ask(body.documents, body.question, body.model, body.collections))

    @routes.get("/documents/questions/{question_id}")
    async def question(request: Request, question_id: str) -> Response:
        return answer(await desk.question(question_id, _wait_s(request)))

    @routes.delete("/documents/questions/{question_id}")
    async def stop(question_id: str) -> Response:
        await desk.stop(question_id)
        return done()


def _add_documents(routes: APIRouter, house: House) -> None:
    desk, models = house.documents.desk, house.documents.models

    @routes.post("/documents")
    async def add(request: Request) -> Response:
        require_local(request)  # it names a file of this machine
        return answer(await desk.add((await read(request, PathBody)).path))

    @routes.post("/documents/upload")
    async def upload(request: Request) -> Response:
        name = request.query_params.get("name", "")
        if not name.strip() or len(name) > MAX_FILE_NAME:
            raise AppError("invalid_request", "The file has no name.", "Give one as `name`.")
        length = request.headers.get("content-length", "")
        announced = int(length) if length.isascii() and length.isdigit() else None
        try:
            return answer(await desk.upload(name, request.stream(), announced))
        except ClientDisconnect as error:
            raise AppError("cancelled", "The client left before the file was whole.") from error

    @routes.get("/documents")
    async def documents() -> Response:
        return answer(await desk.documents())

    @routes.get("/documents/abilities")
    async def abilities() -> Response:
        return answer(await models.abilities())

    @routes.put("/documents/abilities")
    async def choose(request: Request) -> Response:
        body = await read(request, ModelBody)
        return answer(await models.choose(body.role, body.ref))

    @routes.get("/documents/uses")
    async def uses() -> Response:
        return answer(await house.documents.chats.uses())

    @routes.get("/documents/{document_id}")
    async def document(request: Request, document_id: str) -> Response:
        return answer(await desk.document(document_id, _wait_s(request)))

    @routes.delete("/documents/{document_id}")
    async def remove(document_id: str) -> Response:
        await desk.remove(document_id)
        return done()

    @routes.post("/documents/{document_id}/recognise")
    async def recognise(document_id: str) -> Response:
        return answer(await desk.recognise(document_id))


def _add_reader(routes: APIRouter, house: House) -> None:
    desk, pictures = house.documents.desk, house.documents.pictures

    @routes.get("/documents/{document_id}/text")
    async def text(request: Request, document_id: str) -> Response:
        start, end = query_number(request, "start") or 0, query_number(request, "end")
        return answer(await desk.text(document_id, start, end))

    @routes.get("/documents/{document_id}/pages/{page}")
    async def page(request: Request, document_id: str, page: str) -> Response:
        number = int(page) if page.isascii() and page.isdigit() and len(page) < 9 else 0
        png = await pictures.draw(
            document_id,
            number,
            query_number(request, "start") or 0,
            query_number(request, "end") or 0,
            query_number(request, "width") or 1200,
        )
        return Response(png, media_type="image/png")


def _add_chats(routes: APIRouter, house: House) -> None:
    scopes = house.documents.chats

    @routes.get("/chats/{chat_id}/documents")
    async def of_chat(chat_id: str) -> Response:
        return answer(await scopes.of_chat(chat_id))

    @routes.put("/chats/{chat_id}/documents")
    async def set_chat(request: Request, chat_id: str) -> Response:
        body = await read(request, ChatBody)
        return answer(await scopes.set_chat(chat_id, body.documents, body.collections, body.choice))

    @routes.get("/chats/{chat_id}/documents/fit")
    async def fit(chat_id: str) -> Response:
        chat = await house.conversations.chat(chat_id, limit=0)
        model, context, is_loaded = await house.models.context_of(chat.model_ref or None)
        return answer(await scopes.fit(chat_id, model, context, is_loaded=is_loaded))


def _add_collections(routes: APIRouter, house: House) -> None:
    desk = house.documents.collections

    @routes.get("/collections")
    async def collections() -> Response:
        return answer(await desk.collections())

    @routes.post("/collections")
    async def create(request: Request) -> Response:
        require_local(request)  # its sources are paths of this machine
        body = await read(request, NewCollectionBody)
        return answer(await desk.create(body.name, body.sources))

    @routes.get("/collections/{collection_id}")
    async def collection(collection_id: str) -> Response:
        return answer(await desk.collection(collection_id))

    @routes.patch("/collections/{collection_id}")
    async def update(request: Request, collection_id: str) -> Response:
        body = await read(request, CollectionBody)
        if body.sources is not None:
            require_local(request)
        return answer(
            await desk.update(
                collection_id, name=body.name, sources=body.sources, paused=body.paused
            )
        )

    @routes.delete("/collections/{collection_id}")
    async def remove(collection_id: str) -> Response:
        await desk.remove(collection_id)
        return done()

    @routes.get("/collections/{collection_id}/files")
    async def files(request: Request, collection_id: str) -> Response:
        limit, offset = query_number(request, "limit"), query_number(request, "offset")
        return answer(await desk.files(collection_id, 500 if limit is None else limit, offset or 0))

    @routes.post("/collections/{collection_id}/rebuild")
    async def rebuild(collection_id: str) -> Response:
        return answer(await desk.rebuild(collection_id))


def _wait_s(request: Request) -> float:
    return float(query_number(request, "wait_s") or 0)
