"""What every `Client` keeps to: the same assertions on `HttpClient` over a real server with a
scripted engine, and on the `FakeClient` the window's tests use."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec
import pytest

from doubles.client import FakeClient
from doubles.engine import Crash, FakeEngine, Pause, Step
from doubles.server import FakeModels, LiveServer, fake_entry, fake_house
from doubles.waiting import until
from freehold.client.http import HttpClient
from freehold.client.protocol import Client
from freehold.engine.protocol import Delta
from freehold.engine.requests import GenerateRequest
from freehold.errors import AppError
from freehold.wire import (
    Changed,
    EngineChanged,
    Envelope,
    Message,
    ReplyDelta,
    ReplyFinished,
    ReplyProgress,
    Sent,
)


@dataclass
class Script:
    """What the model says to one question."""

    words: Sequence[str] = ("A ", "short ", "answer.")
    reasoning: Sequence[str] = ()
    hold: bool = False
    crash: bool = False


class World(Protocol):
    """A client and the hands on the model behind it."""

    client: Client

    def say(self, script: Script) -> None:
        """Say what the next replies are."""

    def release(self) -> None:
        """Let held replies end."""


@dataclass
class HttpWorld:
    """`HttpClient` over uvicorn on 127.0.0.1."""

    server: LiveServer
    models: FakeModels
    client: Client
    script: Script = field(default_factory=Script)
    gates: list[asyncio.Event] = field(default_factory=list)

    def say(self, script: Script) -> None:
        self.script = script

    def answer(self, _request: GenerateRequest) -> Sequence[Step]:
        script = self.script
        steps: list[Step] = [Delta(id="", reasoning=text, tokens=1) for text in script.reasoning]
        steps += script.words
        if script.hold:
            gate = asyncio.Event()
            self.gates.append(gate)
            steps.append(Pause(gate))
        if script.crash:
            steps.append(Crash())
        return steps

    def release(self) -> None:
        for gate in self.gates:
            self.server.loop.call_soon_threadsafe(gate.set)


@dataclass
class FakeWorld:
    """The window tests' double."""

    client: FakeClient
    held: list[asyncio.Event] = field(default_factory=list)

    def say(self, script: Script) -> None:
        error = None
        if script.crash:
            error = AppError("engine_crashed", "The engine died.", "Ask again.", retryable=True)
        reply = self.client.script_reply(
            script.words, reasoning=script.reasoning, hold=script.hold, error=error
        )
        self.held.append(reply.released)

    def release(self) -> None:
        for event in self.held:
            event.set()


@contextlib.asynccontextmanager
async def http_world(folder: Path) -> AsyncIterator[World]:
    models = FakeModels()
    server = LiveServer(lambda: fake_house(folder, models, [fake_entry("tiny"), fake_entry("b")]))
    await asyncio.to_thread(server.start)
    try:
        client = HttpClient(server.url, server.key)
        world = HttpWorld(server, models, client)
        models.make = lambda: FakeEngine(world.answer)
        try:
            yield world
        finally:
            world.release()
            await client.close()
    finally:
        await asyncio.to_thread(server.stop)


@contextlib.asynccontextmanager
async def fake_world() -> AsyncIterator[World]:
    client = FakeClient(models=(fake_entry("tiny"), fake_entry("b")))
    world = FakeWorld(client)
    try:
        yield world
    finally:
        world.release()
        await client.close()


@pytest.fixture(params=["http", "fake"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    opened = http_world(tmp_path) if request.param == "http" else fake_world()
    async with opened as made:
        yield made


class Listener:
    """Follows the events of a client, as a window does."""

    def __init__(self, client: Client, after: int) -> None:
        self.seen: list[Envelope] = []
        self._task = asyncio.create_task(self._follow(client, after))

    async def _follow(self, client: Client, after: int) -> None:
        async for envelope in client.events(after):
            self.seen.append(envelope)

    def of(self, kind: type) -> list[object]:
        return [e.event for e in self.seen if isinstance(e.event, kind)]

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@contextlib.asynccontextmanager
async def listening(client: Client) -> AsyncIterator[Listener]:
    listener = Listener(client, (await client.state()).seq)
    try:
        yield listener
    finally:
        await listener.stop()


async def ended(client: Client, sent: Sent) -> Message:
    """Wait until a reply has its final state."""
    for _ in range(2000):
        message = await client.message(sent.reply.id)
        if message.status not in ("waiting", "streaming"):
            return message
        await asyncio.sleep(0.005)
    raise AssertionError("the reply did not end")


async def ask(world: World, chat_id: str, text: str, parent: str | None, token: str) -> Sent:
    sent = await world.client.send(chat_id, text, parent_id=parent, token=token)
    await ended(world.client, sent)
    return sent


# --- questions and answers -------------------------------------------------------------------


async def test_sending_stores_both_messages_and_the_reply_ends_complete(world: World) -> None:
    chat = await world.client.create_chat(model_ref="tiny")
    world.say(Script(words=("Hel", "lo"), reasoning=("Greet",)))
    sent = await world.client.send(chat.id, "Hi", parent_id=None, token="t1")
    assert sent.user_message is not None
    assert (sent.user_message.role, sent.user_message.content) == ("user", "Hi")
    assert sent.user_message.parent_id is None
    assert (sent.reply.role, sent.reply.parent_id) == ("assistant", sent.user_message.id)
    assert sent.reply.status == "waiting"
    done = await ended(world.client, sent)
    assert (done.content, done.reasoning, done.status) == ("Hello", "Greet", "complete")
    assert done.model_ref == "tiny"
    assert done.stats is not None
    assert done.stats.completion_tokens > 0
    stored = await world.client.chat(chat.id)
    assert [m.id for m in stored.messages] == [sent.user_message.id, sent.reply.id]
    assert stored.messages[-1] == done
    assert (stored.total, stored.siblings) == (2, {})
    assert stored.context_used_tokens > 0


async def test_events_tell_what_is_stored_in_order_and_without_gaps(world: World) -> None:
    chat = await world.client.create_chat(model_ref="tiny")
    async with listening(world.client) as listener:
        world.say(Script(words=("one ", "two ", "three"), reasoning=("hm",)))
        sent = await world.client.send(chat.id, "Count", parent_id=None, token="t1")
        await until(lambda: listener.of(ReplyFinished))
        parts = {"content": "", "reasoning": ""}
        for event in listener.of(ReplyDelta):
            assert isinstance(event, ReplyDelta)
            assert event.message_id == sent.reply.id
            assert event.offset == len(parts[event.part])
            parts[event.part] += event.text
        assert parts == {"content": "one two three", "reasoning": "hm"}
        (finished,) = listener.of(ReplyFinished)
        assert isinstance(finished, ReplyFinished)
        assert finished.message == await world.client.message(sent.reply.id)
        numbers = [envelope.seq for envelope in listener.seen]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        kinds = [type(e.event) for e in listener.seen]
        assert kinds.index(ReplyProgress) < kinds.index(ReplyDelta)
        topics = {e.topic for e in listener.of(Changed) if isinstance(e, Changed)}
        assert {"chat", "chats"} <= topics


async def test_the_same_token_never_sends_twice(world: World) -> None:
    chat = await world.client.create_chat(model_ref="tiny")
    first = await ask(world, chat.id, "Once", None, "same")
    again = await world.client.send(chat.id, "Once", parent_id=None, token="same")
    assert first.user_message is not None
    assert again.user_message is not None
    assert again.user_message.id == first.user_message.id
    assert again.reply.id == first.reply.id
    assert (await world.client.chat(chat.id)).total == 2


async def test_stopping_keeps_what_came(world: World) -> None:
    chat = await world.client.create_chat(model_ref="tiny")
    async with listening(world.client) as listener:
        world.say(Script(words=("some ", "words "), hold=True))
        sent = await world.client.send(chat.id, "Go", parent_id=None, token="t1")
        await until(
            lambda: "".join(e.text for e in listener.of(ReplyDelta)) == "some words "  # type: ignore[attr-defined]
        )
        assert (await world.client.chats())[0].busy
        await world.client.stop_reply(sent.reply.id)
        done = await ended(world.client, sent)
    assert (done.content, done.status) == ("some words ", "stopped")
    assert not (await world.client.chats())[0].busy


@pytest.mark.allow_logs("the engine of tiny crashed")
async def test_a_crash_keeps_the_partial_answer_and_the_next_question_works(world: World) -> None:
    chat = await world.client.create_chat(model_ref="tiny")
    world.say(Script(words=("half an ",), crash=True))
    sent = await world.client.send(chat.id, "Go", parent_id=None, token="t1")
    broken = await ended(world.client, sent)
    assert (broken.content, broken.status) == ("half an ", "interrupted")
    assert broken.error is not None
    assert broken.error.code == "engine_crashed"
    world.say(Script(words=("well",)))
    after = await world.client.send(chat.id, "Again", parent_id=sent.reply.id, token="t2")
    done = await ended(world.client, after)
    assert (done.content, done.status) == ("well", "complete")


async def test_regenerate_and_edit_make_branches_one_can_choose_between(world: World) -> None:
    chat = await world.client.create_chat(model_ref="tiny")
    first = await ask(world, chat.id, "Question", None, "t1")
    second = await world.client.regenerate(first.reply.id)
    await ended(world.client, second)
    assert second.user_message is None
    stored = await world.client.chat(chat.id)
    assert stored.messages[-1].id == second.reply.id
    assert stored.siblings == {second.reply.id: (first.reply.id, second.reply.id)}

    back = await world.client.select(first.reply.id)
    assert back.messages[-1].id == first.reply.id
    follow_up = await ask(world, chat.id, "More", first.reply.id, "t2")

    assert first.user_message is not None
    edited = await world.client.edit(first.user_message.id, "Other question", token="t3")
    await ended(world.client, edited)
    assert edited.user_message is not None
    stored = await world.client.chat(chat.id)
    assert [m.id for m in stored.messages] == [edited.user_message.id, edited.reply.id]
    assert stored.siblings[edited.user_message.id] == (
        first.user_message.id,
        edited.user_message.id,
    )
    # The branch that was last shown below the first version comes back whole.
    back = await world.client.select(first.user_message.id)
    assert back.messages[-1].id == follow_up.reply.id
    assert back.total == 4


async def test_a_window_of_a_long_branch_is_read_from_its_end(world: World) -> None:
    chat = await world.client.create_chat(model_ref="tiny")
    parent, ids = None, []
    for number in range(4):
        sent = await ask(world, chat.id, f"Question {number}", parent, f"t{number}")
        assert sent.user_message is not None
        ids += [sent.user_message.id, sent.reply.id]
        parent = sent.reply.id
    end = await world.client.chat(chat.id, limit=3)
    assert ([m.id for m in end.messages], end.total) == (ids[-3:], 8)
    before = await world.client.chat(chat.id, limit=3, before=ids[-3])
    assert [m.id for m in before.messages] == ids[2:5]
    start = await world.client.chat(chat.id, limit=30, before=ids[1])
    assert [m.id for m in start.messages] == ids[:1]


# --- chats -----------------------------------------------------------------------------------


async def test_a_chat_is_named_after_its_first_question_until_a_person_renames_it(
    world: World,
) -> None:
    chat = await world.client.create_chat(model_ref="tiny")
    sent = await ask(world, chat.id, "How do owls hunt?\nIn detail.", None, "t1")
    assert (await world.client.chats())[0].title == "How do owls hunt?"
    summary = await world.client.update_chat(chat.id, title="Owls", pinned=True)
    assert (summary.title, summary.pinned) == ("Owls", True)
    await ask(world, chat.id, "And mice?", sent.reply.id, "t2")
    assert (await world.client.chat(chat.id)).title == "Owls"


async def test_chat_settings_and_draft_are_kept(world: World) -> None:
    chat = await world.client.create_chat()
    await world.client.update_chat(
        chat.id, model_ref="b", system_prompt="Be brief.", sampling={"temperature": 0.2}
    )
    await world.client.save_draft(chat.id, "not yet sent 👋")
    stored = await world.client.chat(chat.id)
    assert (stored.model_ref, stored.system_prompt) == ("b", "Be brief.")
    assert (stored.sampling, stored.draft) == ({"temperature": 0.2}, "not yet sent 👋")
    await ask(world, chat.id, "sent", None, "t1")
    assert (await world.client.chat(chat.id)).draft == ""


async def test_trash_restore_and_delete(world: World) -> None:
    chat = await world.client.create_chat(model_ref="tiny")
    with pytest.raises(AppError) as refused:
        await world.client.delete_chat(chat.id)
    assert refused.value.code == "conflict"
    await world.client.trash_chat(chat.id)
    assert await world.client.chats() == ()
    (trashed,) = await world.client.chats(trashed=True)
    assert trashed.id == chat.id
    assert trashed.trashed_at is not None
    await world.client.restore_chat(chat.id)
    assert [c.id for c in await world.client.chats()] == [chat.id]
    await world.client.trash_chat(chat.id)
    await world.client.delete_chat(chat.id)
    assert await world.client.chats(trashed=True) == ()
    with pytest.raises(AppError) as gone:
        await world.client.chat(chat.id)
    assert gone.value.code == "not_found"


async def test_trashing_a_chat_ends_its_reply(world: World) -> None:
    chat = await world.client.create_chat(model_ref="tiny")
    world.say(Script(words=("on ", "and on"), hold=True))
    sent = await world.client.send(chat.id, "Go", parent_id=None, token="t1")
    await world.client.trash_chat(chat.id)
    assert (await ended(world.client, sent)).status == "stopped"


async def test_search_finds_words_over_all_chats_but_not_in_the_trash(world: World) -> None:
    kept = await world.client.create_chat(model_ref="tiny")
    sent = await ask(world, kept.id, "Tell me about barn owls", None, "t1")
    other = await world.client.create_chat(model_ref="tiny")
    await ask(world, other.id, "Tell me about foxes", None, "t2")
    hits = await world.client.search_chats("barn owls")
    assert sent.user_message is not None
    assert [(h.chat_id, h.message_id) for h in hits] == [(kept.id, sent.user_message.id)]
    assert "barn owls" in hits[0].snippet
    assert await world.client.search_chats("zebra") == ()
    await world.client.trash_chat(kept.id)
    assert await world.client.search_chats("barn owls") == ()


async def test_a_chat_is_exported_as_text(world: World) -> None:
    chat = await world.client.create_chat(model_ref="tiny")
    await ask(world, chat.id, "How do owls hunt?", None, "t1")
    markdown = await world.client.export_chat(chat.id)
    assert markdown.startswith("# How do owls hunt?")
    assert "A short answer." in markdown
    document = msgspec.json.decode(await world.client.export_chat(chat.id, "json"))
    assert document["messages"][0]["content"] == "How do owls hunt?"


async def test_what_is_not_there_is_not_found(world: World) -> None:
    calls = (
        lambda c: c.chat("none"),
        lambda c: c.message("none"),
        lambda c: c.update_chat("none", title="x"),
        lambda c: c.save_draft("none", "x"),
        lambda c: c.trash_chat("none"),
        lambda c: c.regenerate("none"),
        lambda c: c.select("none"),
        lambda c: c.stop_reply("none"),
        lambda c: c.send("none", "x", parent_id=None, token="t"),
    )
    for number, call in enumerate(calls):
        with pytest.raises(AppError) as missing:
            await call(world.client)
        assert missing.value.code == "not_found", number
        assert missing.value.hint


# --- models and server -----------------------------------------------------------------------


async def test_a_model_is_loaded_and_unloaded(world: World) -> None:
    async with listening(world.client) as listener:
        await world.client.load_model("tiny")
        await until(
            lambda: any(
                e.engine is not None and e.engine.phase == "ready"  # type: ignore[attr-defined]
                for e in listener.of(EngineChanged)
            )
        )
        state = await world.client.state()
        assert [(e.ref, e.phase) for e in state.engines] == [("tiny", "ready")]
        await world.client.unload_model("tiny")
        await until(
            lambda: listener.of(EngineChanged)[-1].engine is None  # type: ignore[attr-defined]
        )
    assert (await world.client.state()).engines == ()


async def test_a_model_that_is_not_there_fails_the_reply_and_keeps_the_question(
    world: World,
) -> None:
    with pytest.raises(AppError) as missing:
        await world.client.load_model("nothing")
    assert missing.value.code == "model_not_found"
    chat = await world.client.create_chat(model_ref="nothing")
    sent = await world.client.send(chat.id, "Keep me", parent_id=None, token="t1")
    failed = await ended(world.client, sent)
    assert failed.status == "failed"
    assert failed.error is not None
    assert failed.error.code == "model_not_found"
    assert (await world.client.chat(chat.id)).messages[0].content == "Keep me"


async def test_models_come_and_go(world: World) -> None:
    entry = await world.client.import_model("/models/new.gguf")
    assert entry.ref in [m.ref for m in (await world.client.state()).models]
    assert await world.client.remove_model(entry.ref) == 0
    assert entry.ref not in [m.ref for m in (await world.client.state()).models]


async def test_settings_are_stored_and_told(world: World) -> None:
    async with listening(world.client) as listener:
        wanted = msgspec.structs.replace(await world.client.settings(), theme="dark")
        assert await world.client.save_settings(wanted) == wanted
        await until(lambda: Changed(topic="settings") in listener.of(Changed))
    assert (await world.client.state()).settings == wanted
    with pytest.raises(AppError) as refused:
        await world.client.save_settings(msgspec.structs.replace(wanted, port=0))
    assert refused.value.code == "invalid_request"


async def test_hello_says_who_answers_and_the_key_is_there(world: World) -> None:
    hello = await world.client.hello()
    assert hello.api == 1
    assert hello.instance_id == (await world.client.state()).server.instance_id
    assert (await world.client.api_key()).startswith("fh-")


async def test_shutting_down_breaks_the_event_stream(world: World) -> None:
    seq = (await world.client.state()).seq
    broken: list[AppError] = []

    async def follow() -> None:
        try:
            async for _ in world.client.events(seq):
                pass
        except AppError as error:
            broken.append(error)

    task = asyncio.create_task(follow())
    await asyncio.sleep(0)
    await world.client.shut_down()
    await asyncio.wait_for(task, 10)
    assert [error.code for error in broken] == ["server_unreachable"]
    with pytest.raises(AppError) as gone:
        await world.client.state()
    assert gone.value.code == "server_unreachable"
