"""A client of the documents' part: over a real server with scripted engines, or the double."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from doubles.engine import Script
from doubles.server import FakeModels, LiveServer, fake_entry, fake_house
from freehold.client.documents import until_answered, until_read
from freehold.client.http import HttpClient
from freehold.client.protocol import Client
from freehold.engine.requests import ChatPrompt, GenerateRequest
from freehold.wire import Message, ReplyFinished
from freehold.wire_documents import Collection, DocumentAnswer

QUESTION = "How much is the yearly rent?"
MARKED = 'The rent is 4,250 euros [2: "no such words here"] [1: "yearly rent is 4,250 euros"].'
LIMIT_S = 90.0


def nothing(_value: object) -> None:
    """Hear of progress."""


def prompt_text(request: GenerateRequest) -> str:
    assert isinstance(request.prompt, ChatPrompt)
    return str(request.prompt.messages[-1]["content"])


class World:
    """A client, the server behind it if there is one, and what its engine answers."""

    def __init__(
        self, client: Client, models: FakeModels | None, server: LiveServer | None = None
    ) -> None:
        self.whole = client
        self.client = client.documents
        self.models = models
        self.server = server

    async def read(self, path: Path) -> str:
        info = await self.client.add(str(path))
        return (await until_read(self.client, info.id, nothing)).id

    async def answer(self, ids: list[str], question: str = QUESTION) -> DocumentAnswer:
        asked = await self.client.ask(ids, question)
        return await until_answered(self.client, asked.id, nothing)

    async def ask_chat(self, chat_id: str, text: str, parent_id: str | None = None) -> Message:
        """Send to a chat and return the finished reply."""
        state = await self.whole.state()
        token = secrets.token_hex(8)
        sent = await self.whole.send(chat_id, text, parent_id=parent_id, token=token)
        async with asyncio.timeout(LIMIT_S):
            async for envelope in self.whole.events(state.seq):
                event = envelope.event
                if isinstance(event, ReplyFinished) and event.message.id == sent.reply.id:
                    return event.message
        raise AssertionError("the stream ended")

    async def until_phase(self, collection_id: str, *phases: str) -> Collection:
        """Return a collection once it is in one of the phases."""
        now: Collection | None = None
        try:
            async with asyncio.timeout(LIMIT_S):
                while True:
                    now = await self.client.collection(collection_id)
                    if now.phase in phases:
                        return now
                    await asyncio.sleep(0.02)
        except TimeoutError as error:
            raise AssertionError(f"never {phases}: {now}") from error

    def prompts(self) -> list[str]:
        """Return what chat engines were given last, each prompt's last message."""
        assert self.models is not None
        return [prompt_text(r) for engine in self.models.made for r in engine.requests]


@contextlib.asynccontextmanager
async def http_world(
    folder: Path, script: Script = lambda _request: [MARKED], kinds: Sequence[str] = ("vectors",)
) -> AsyncIterator[World]:
    models = FakeModels(script)
    entries = [
        fake_entry("tiny"),
        *(fake_entry(name, kind="embedding", origin="bundled") for name in kinds),
    ]
    server = LiveServer(lambda: fake_house(folder, models, entries))
    await asyncio.to_thread(server.start)
    try:
        client = HttpClient(server.url, server.key)
        try:
            yield World(client, models, server)
        finally:
            await client.close()
    finally:
        await asyncio.to_thread(server.stop)
