"""The double itself: what it stores and tells must be consistent, or tests on it mean nothing."""

from __future__ import annotations

import asyncio

import pytest

from doubles.client import FakeClient
from doubles.waiting import until
from freehold.errors import AppError
from freehold.wire import (
    EngineChanged,
    Envelope,
    ModelEntry,
    Notice,
    ReplyDelta,
    ReplyFinished,
    Resync,
)

MODEL = ModelEntry(
    ref="tiny",
    name="Tiny",
    arch="llama",
    bytes=10,
    path="/m/tiny.gguf",
    origin="imported",
    ready=True,
)


async def _collect(client: FakeClient, into: list[Envelope], after: int = 0) -> None:
    async for envelope in client.events(after):
        into.append(envelope)


async def test_a_reply_is_stored_before_it_is_told_and_deltas_join_to_the_message() -> None:
    client = FakeClient(models=(MODEL,))
    seen: list[Envelope] = []
    reader = asyncio.ensure_future(_collect(client, seen))
    chat = await client.create_chat(model_ref="tiny")
    client.script_reply(["Hel", "lo"], reasoning=["Think."])
    sent = await client.send(chat.id, "Hi", parent_id=None, token="a")
    await until(lambda: any(isinstance(e.event, ReplyFinished) for e in seen))
    parts = {"content": "", "reasoning": ""}
    for envelope in seen:
        if isinstance(envelope.event, ReplyDelta):
            assert envelope.event.offset == len(parts[envelope.event.part])
            parts[envelope.event.part] += envelope.event.text
    stored = await client.message(sent.reply.id)
    assert (stored.content, stored.reasoning, stored.status) == ("Hello", "Think.", "complete")
    assert (parts["content"], parts["reasoning"]) == ("Hello", "Think.")
    assert [e.seq for e in seen] == list(range(1, len(seen) + 1))
    phases = [
        e.event.engine.phase for e in seen if isinstance(e.event, EngineChanged) and e.event.engine
    ]
    assert (phases[0], phases[-1]) == ("loading", "ready")
    reader.cancel()
    await client.close()


async def test_the_same_token_never_sends_twice() -> None:
    client = FakeClient(models=(MODEL,))
    chat = await client.create_chat(model_ref="tiny")
    first = await client.send(chat.id, "Hi", parent_id=None, token="a")
    again = await client.send(chat.id, "Hi", parent_id=None, token="a")
    assert first.reply.id == again.reply.id
    assert (await client.chat(chat.id)).total == 2
    await client.close()


async def test_edit_regenerate_and_select_move_the_active_branch() -> None:
    client = FakeClient(models=(MODEL,))
    chat = await client.create_chat(model_ref="tiny")
    first = await client.send(chat.id, "One", parent_id=None, token="a")
    assert first.user_message is not None
    second = await client.regenerate(first.reply.id)
    edited = await client.edit(first.user_message.id, "Two", token="b")
    assert edited.user_message is not None
    view = await client.chat(chat.id)
    assert view.messages[0].content == "Two"
    assert view.siblings[edited.user_message.id] == (first.user_message.id, edited.user_message.id)
    back = await client.select(first.user_message.id)
    assert back.messages[1].id == second.reply.id
    await client.close()


async def test_stop_keeps_what_came() -> None:
    client = FakeClient(models=(MODEL,))
    chat = await client.create_chat(model_ref="tiny")
    client.script_reply(["part"], hold=True)
    sent = await client.send(chat.id, "Hi", parent_id=None, token="a")
    stored = client.conversations.holding(sent.reply.id).messages
    await until(lambda: stored[sent.reply.id].content == "part")
    await client.stop_reply(sent.reply.id)
    assert (await client.message(sent.reply.id)).status == "stopped"
    await client.close()


async def test_failures_offline_and_late_readers() -> None:
    client = FakeClient(models=(MODEL,), ring=2)
    client.fail_next("state", AppError("busy", "Busy.", "Wait."))
    with pytest.raises(AppError, match="Busy"):
        await client.state()
    assert (await client.state()).seq == 0
    for _ in range(4):
        client.push(Notice(level="info", error=_info()))
    late = [e async for e in client.events(0)]
    assert [type(e.event) for e in late] == [Resync]
    client.go_offline()
    with pytest.raises(AppError) as caught:
        await client.chats()
    assert caught.value.code == "server_unreachable"
    await client.close()


async def test_a_model_that_fails_to_load_says_why_in_the_reply() -> None:
    client = FakeClient(models=(MODEL,))
    client.fail_load("tiny", AppError("does_not_fit", "Too large.", "Choose a smaller one."))
    chat = await client.create_chat(model_ref="tiny")
    sent = await client.send(chat.id, "Hi", parent_id=None, token="a")
    stored = client.conversations.holding(sent.reply.id).messages
    await until(lambda: stored[sent.reply.id].status == "failed")
    error = stored[sent.reply.id].error
    assert error is not None
    assert error.code == "does_not_fit"
    await client.close()


def _info():  # type: ignore[no-untyped-def]
    from doubles.client import error_info

    return error_info(AppError("busy", "Busy.", "Wait."))
