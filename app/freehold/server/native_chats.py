"""Routes of chats and messages."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from freehold.server.native_json import answer, done, query_number, read
from freehold.server.wiring import House
from freehold.wire import Chat


class CreateBody(msgspec.Struct, frozen=True):
    """A new chat."""

    model_ref: str = ""
    title: str = ""


class UpdateBody(msgspec.Struct, frozen=True):
    """What to change; None leaves it."""

    title: str | None = None
    model_ref: str | None = None
    system_prompt: str | None = None
    pinned: bool | None = None
    sampling: dict[str, Any] | None = None


class DraftBody(msgspec.Struct, frozen=True):
    """What is typed but not sent."""

    text: str


class SendBody(msgspec.Struct, frozen=True):
    """A question."""

    text: str
    token: str
    parent_id: str | None = None


class EditBody(msgspec.Struct, frozen=True):
    """Another text for a question."""

    text: str
    token: str


def router(house: House) -> APIRouter:
    """Return the routes of chats and messages."""
    routes = APIRouter()
    _add_reading(routes, house)
    _add_changing(routes, house)
    _add_messages(routes, house)
    return routes


def _add_reading(routes: APIRouter, house: House) -> None:
    @routes.get("/chats")
    async def chats(request: Request) -> Response:
        trashed = request.query_params.get("trashed", "false") == "true"
        return answer(await house.conversations.list(trashed=trashed))

    @routes.get("/chats/{chat_id}")
    async def chat(chat_id: str, request: Request) -> Response:
        found = await house.conversations.chat(
            chat_id,
            limit=query_number(request, "limit"),
            before=request.query_params.get("before"),
        )
        return answer(_overlaid(house, found))

    @routes.get("/chats/{chat_id}/export")
    async def export(chat_id: str, request: Request) -> Response:
        form = request.query_params.get("format", "markdown")
        text = await house.conversations.export(chat_id, form)
        media_type = "application/json" if form == "json" else "text/markdown"
        return Response(text, media_type=media_type)

    @routes.get("/search")
    async def search(request: Request) -> Response:
        limit = query_number(request, "limit")
        query = request.query_params.get("q", "")
        hits = await house.conversations.search(query, limit=50 if limit is None else limit)
        return answer(hits)


def _add_changing(routes: APIRouter, house: House) -> None:
    @routes.post("/chats")
    async def create(request: Request) -> Response:
        body = await read(request, CreateBody)
        return answer(
            await house.conversations.create(
                model_ref=body.model_ref,
                title=body.title,
                system_prompt=house.settings.current.default_system_prompt,
            )
        )

    @routes.patch("/chats/{chat_id}")
    async def update(chat_id: str, request: Request) -> Response:
        body = await read(request, UpdateBody)
        return answer(await house.conversations.update(chat_id, **msgspec.structs.asdict(body)))

    @routes.put("/chats/{chat_id}/draft")
    async def save_draft(chat_id: str, request: Request) -> Response:
        body = await read(request, DraftBody)
        await house.conversations.save_draft(chat_id, body.text)
        return done()

    @routes.post("/chats/{chat_id}/trash")
    async def trash(chat_id: str) -> Response:
        # First the trash: no new reply can begin once its chat lies there.
        await house.conversations.trash(chat_id)
        await house.turns.stop_chat(chat_id)
        return done()

    @routes.post("/chats/{chat_id}/restore")
    async def restore(chat_id: str) -> Response:
        await house.conversations.restore(chat_id)
        return done()

    @routes.delete("/chats/{chat_id}")
    async def delete(chat_id: str) -> Response:
        await house.conversations.delete(chat_id)
        await house.turns.stop_chat(chat_id)
        return done()


def _add_messages(routes: APIRouter, house: House) -> None:
    @routes.post("/chats/{chat_id}/messages")
    async def send(chat_id: str, request: Request) -> Response:
        body = await read(request, SendBody)
        return answer(
            await house.turns.send(chat_id, body.text, parent_id=body.parent_id, token=body.token)
        )

    @routes.get("/messages/{message_id}")
    async def message(message_id: str) -> Response:
        return answer(house.turns.overlay(await house.conversations.message(message_id)))

    @routes.post("/messages/{message_id}/regenerate")
    async def regenerate(message_id: str) -> Response:
        return answer(await house.turns.regenerate(message_id))

    @routes.post("/messages/{message_id}/edit")
    async def edit(message_id: str, request: Request) -> Response:
        body = await read(request, EditBody)
        return answer(await house.turns.edit(message_id, body.text, token=body.token))

    @routes.post("/messages/{message_id}/select")
    async def select(message_id: str) -> Response:
        return answer(_overlaid(house, await house.conversations.select(message_id)))

    @routes.post("/messages/{message_id}/stop")
    async def stop(message_id: str) -> Response:
        await house.turns.stop(message_id)
        return done()


def _overlaid(house: House, chat: Chat) -> Chat:
    """Return the chat with replies the disk could not take yet as they are."""
    messages = tuple(house.turns.overlay(message) for message in chat.messages)
    return msgspec.structs.replace(chat, messages=messages)
