"""The real server process with the real engine: found, started, replaced, and killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from doubles.models import tiny_model
from freehold.client import discovery
from freehold.client.discovery import Connection, ensure_server, find_server
from freehold.client.protocol import Client
from freehold.errors import AppError
from freehold.paths import user_paths
from freehold.wire import Message, ReplyDelta, Sent

pytestmark = [pytest.mark.e2e, pytest.mark.engine, pytest.mark.timeout(120)]


@contextlib.asynccontextmanager
async def background_server() -> AsyncIterator[Connection]:
    """Start the server of this test's data folder, and end it."""
    connection = await ensure_server(user_paths())
    try:
        yield connection
    finally:
        await end(connection)


async def end(connection: Connection) -> None:
    with contextlib.suppress(AppError):
        await connection.client.shut_down()
    await connection.client.close()
    if connection.process is not None:
        await asyncio.to_thread(connection.process.wait, 20)


async def begin_long_answer(client: Client) -> Sent:
    """Send a question and wait until its answer has begun."""
    entry = await client.import_model(str(tiny_model()))
    chat = await client.create_chat(model_ref=entry.ref)
    await client.update_chat(chat.id, sampling={"max_tokens": 20_000, "seed": 1})
    seq = (await client.state()).seq
    sent = await client.send(chat.id, "Tell me a story", parent_id=None, token="story")
    async for envelope in client.events(seq):
        if isinstance(envelope.event, ReplyDelta) and envelope.event.offset > 0:
            return sent
    raise AssertionError("no text came")


async def final(client: Client, sent: Sent, limit_s: float = 20) -> Message:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        message = await client.message(sent.reply.id)
        if message.status not in ("waiting", "streaming"):
            return message
        await asyncio.sleep(0.02)
    raise AssertionError("the reply did not end")


async def test_one_server_is_started_and_found_again() -> None:
    async with background_server() as first:
        assert first.process is not None
        found = await asyncio.gather(*(ensure_server(user_paths()) for _ in range(3)))
        assert {c.hello.instance_id for c in found} == {first.hello.instance_id}
        assert all(c.process is None for c in found)
        for connection in found:
            await connection.client.close()
    assert first.process.returncode == 0
    assert await find_server(user_paths()) is None


async def test_several_who_start_it_at_once_get_the_same_one() -> None:
    connections = await asyncio.gather(*(ensure_server(user_paths()) for _ in range(3)))
    try:
        assert len({c.hello.instance_id for c in connections}) == 1
    finally:
        for connection in connections:
            await end(connection)


async def test_an_older_server_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    async with background_server() as old:
        chat = await old.client.create_chat(title="kept")
        # This window is newer than the server it finds.
        monkeypatch.setattr(discovery, "__version__", "99.0.0")
        new = await ensure_server(user_paths())
        try:
            assert new.hello.instance_id != old.hello.instance_id
            assert [c.id for c in await new.client.chats()] == [chat.id]
        finally:
            await end(new)
        assert old.process is not None
        assert await asyncio.to_thread(old.process.wait, 20) == 0


async def test_a_killed_server_keeps_what_came_and_the_next_one_goes_on() -> None:
    first = await ensure_server(user_paths())
    assert first.process is not None
    sent = await begin_long_answer(first.client)
    came = (await first.client.message(sent.reply.id)).content
    assert came
    first.process.send_signal(signal.SIGKILL)
    await asyncio.to_thread(first.process.wait, 20)
    with pytest.raises(AppError) as gone:
        await first.client.chats()
    assert gone.value.code == "server_unreachable"
    await first.client.close()
    async with background_server() as second:
        assert second.hello.instance_id != first.hello.instance_id
        message = await second.client.message(sent.reply.id)
        assert message.status == "interrupted"
        assert message.content.startswith(came)
        assert message.error is not None
        assert message.error.hint
        again = await second.client.send(
            message.chat_id, "Go on", parent_id=message.id, token="again"
        )
        await second.client.update_chat(message.chat_id, sampling={"max_tokens": 5})
        await second.client.stop_reply(again.reply.id)
        assert (await final(second.client, again)).status in ("stopped", "complete")


async def test_a_killed_engine_keeps_the_partial_answer_and_the_next_question_works() -> None:
    async with background_server() as connection:
        client = connection.client
        sent = await begin_long_answer(client)
        (engine,) = (await client.state()).engines
        assert engine.pid is not None
        came = (await client.message(sent.reply.id)).content
        killed_s = time.monotonic()
        os.kill(engine.pid, signal.SIGKILL)
        message = await final(client, sent)
        assert time.monotonic() - killed_s < 2
        assert message.status == "interrupted"
        assert message.content.startswith(came)
        assert message.error is not None
        assert message.error.code == "engine_crashed"
        await client.update_chat(message.chat_id, sampling={"max_tokens": 8})
        after = await client.send(message.chat_id, "Again", parent_id=message.id, token="t2")
        assert (await final(client, after)).status == "complete"


async def test_stopping_keeps_what_came_and_frees_the_engine() -> None:
    async with background_server() as connection:
        client = connection.client
        sent = await begin_long_answer(client)
        begun_s = time.monotonic()
        await client.stop_reply(sent.reply.id)
        message = await client.message(sent.reply.id)
        assert time.monotonic() - begun_s < 2
        assert message.status == "stopped"
        assert message.content
        assert message.stats is not None
        assert message.stats.completion_tokens > 0
        (engine,) = (await client.state()).engines
        assert engine.phase == "ready"


def test_the_log_holds_no_words_of_a_person(data_folder: Path) -> None:
    async def ask() -> None:
        async with background_server() as connection:
            sent = await begin_long_answer(connection.client)
            await connection.client.stop_reply(sent.reply.id)

    asyncio.run(ask())
    logs = list((data_folder / "state/logs").iterdir())
    assert logs
    key = (data_folder / "state/key").read_text().strip()
    for log in logs:
        text = log.read_text()
        assert "Tell me a story" not in text
        assert key not in text
