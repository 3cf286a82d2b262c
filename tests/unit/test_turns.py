"""Turns over a scripted engine: streaming, stopping, and everything that goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from doubles.engine import (
    Crash,
    FakeEngine,
    FakeEngines,
    Pause,
    Progress,
    Step,
    echo,
    fake_call,
    say,
)
from doubles.waiting import until
from freehold.chats.conversations import Conversations
from freehold.chats.prompts import build_messages
from freehold.chats.schema import SCHEMA
from freehold.chats.turns import Turns
from freehold.engine.protocol import Delta, Done, Failed
from freehold.engine.requests import ChatPrompt, GenerateRequest, Timings, Usage, WireError
from freehold.errors import AppError
from freehold.paths import Paths
from freehold.storage.connection import Database
from freehold.wire import (
    AnyEvent,
    Message,
    Notice,
    ReplyDelta,
    ReplyFinished,
    ReplyProgress,
    Sent,
)


class Desk:
    """Turns, conversations and the events they tell."""

    def __init__(self, folder: Path) -> None:
        paths = Paths(folder / "d", folder / "s", folder / "c", folder / "g")
        paths.create()
        self.database = Database.open(paths, (SCHEMA,))
        self.told: list[AnyEvent] = []
        self.engine = FakeEngine(echo)
        self.engines = FakeEngines({"tiny": self.engine})
        self.chats = Conversations(self.database, self.told.append)
        self.default = "tiny"
        self.turns = Turns(
            self.database,
            self.engines,
            self.told.append,
            choose_model=self._choose,
            save_again_s=0.02,
        )

    async def _choose(self) -> str:
        return self.default

    async def send(self, text: str = "hi", parent: str | None = None, chat: str = "") -> Sent:
        chat_id = chat or (await self.chats.create()).id
        return await self.turns.send(chat_id, text, parent_id=parent, token=f"{len(self.told)}")

    async def ended(self, sent: Sent) -> Message:
        await until(lambda: sent.reply.id not in self.turns.running)
        return self.turns.overlay(await self.chats.message(sent.reply.id))

    async def answer(self, *steps: Step) -> Message:
        self.engine.script = say(*steps)
        return await self.ended(await self.send())

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.told if isinstance(event, kind)]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    made = Desk(tmp_path)
    yield made
    await made.turns.close()
    made.database.close()


# --- what the engine is asked ----------------------------------------------------------------


async def test_the_engine_reads_the_active_branch_and_the_chats_settings(desk: Desk) -> None:
    chat = await desk.chats.create(model_ref="tiny", system_prompt="Be brief.")
    await desk.chats.update(
        chat.id, sampling={"temperature": 0.1, "max_tokens": 9, "enable_thinking": False}
    )
    first = await desk.send("one two", None, chat.id)
    await desk.ended(first)
    second = await desk.send("three", first.reply.id, chat.id)
    await desk.ended(second)
    request = desk.engine.requests[-1]
    assert isinstance(request.prompt, ChatPrompt)
    assert request.prompt.messages == (
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "one two"},
        {"role": "assistant", "content": "one two "},
        {"role": "user", "content": "three"},
    )
    assert request.prompt.enable_thinking is False
    assert (request.sampling.temperature, request.max_tokens) == (0.1, 9)
    # The same key in one chat, another in the next: prefixes are reused, never shared.
    assert request.key == desk.engine.requests[0].key
    await desk.ended(await desk.send("other"))
    assert desk.engine.requests[-1].key != request.key


def test_templates_get_alternating_roles_and_no_nul() -> None:
    def message(role: Any, content: str, **more: Any) -> Message:
        return Message(id="m", chat_id="c", parent_id=None, role=role, content=content, **more)

    branch = [
        message("user", "first"),
        message("assistant", "", status="failed"),
        message("user", "second \0"),
        message("assistant", "answer", reasoning="hm", status="stopped"),
        message("user", "third"),
    ]
    assert build_messages("  ", branch) == (
        {"role": "user", "content": "first\n\nsecond \ufffd"},
        {"role": "assistant", "content": "answer", "reasoning_content": "hm"},
        {"role": "user", "content": "third"},
    )


async def test_tool_calls_and_figures_are_kept(desk: Desk) -> None:
    done = Done(
        id="",
        finish_reason="tool_calls",
        usage=Usage(prompt_tokens=30, cached_tokens=20, completion_tokens=5),
        timings=Timings(first_token_s=0.25, decode_tokens_per_s=12.0, prefill_tokens_per_s=99.0),
    )
    message = await desk.answer(*fake_call("weather", '{"city": "Bern"}'), done)
    assert message.status == "complete"
    assert message.tool_calls == (
        {
            "id": "call_1",
            "type": "function",
            "function": {"name": "weather", "arguments": '{"city": "Bern"}'},
        },
    )
    assert message.stats is not None
    assert (message.stats.prompt_tokens, message.stats.cached_tokens) == (30, 20)
    assert (message.stats.first_token_s, message.stats.decode_tokens_per_s) == (0.25, 12.0)
    assert message.stats.finish_reason == "tool_calls"
    assert message.stats.duration_s > 0


# --- telling ---------------------------------------------------------------------------------


async def test_waiting_loading_and_prefill_are_told_with_numbers(desk: Desk) -> None:
    await desk.answer(Progress(10, 200), Progress(200, 200), "text", Progress(1, 1))
    told = [(e.phase, e.done, e.total) for e in desk.of(ReplyProgress)]
    assert told[0] == ("queued", 0, 0)
    assert ("loading", 100, 100) in told
    assert told[-2:] == [("prefill", 10, 200), ("prefill", 200, 200)]


async def test_text_is_stored_before_it_is_told(desk: Desk) -> None:
    stored_at_telling: list[tuple[str, int]] = []
    publish = desk.told.append

    def watch(event: AnyEvent) -> None:
        if isinstance(event, ReplyDelta):
            message = desk.database.read_now(
                lambda c: c.execute(
                    "SELECT group_concat(text, '') FROM (SELECT text FROM message_chunk"
                    " WHERE part = ? ORDER BY seq)",
                    (event.part,),
                ).fetchone()
            )
            stored_at_telling.append((message[0], event.offset + len(event.text)))
        publish(event)

    desk.turns._publish = watch
    gate = asyncio.Event()
    desk.engine.script = say(Delta(id="", reasoning="hm 👋"), "one ", Pause(gate), "two ", "three")
    sent = await desk.send()
    await until(lambda: stored_at_telling)
    gate.set()
    assert (await desk.ended(sent)).content == "one two three"
    assert stored_at_telling
    for text, told in stored_at_telling:
        assert len(text) >= told


async def test_many_small_pieces_are_merged(desk: Desk) -> None:
    message = await desk.answer(*(f"{n} " for n in range(3000)))
    deltas = desk.of(ReplyDelta)
    assert "".join(e.text for e in deltas) == message.content
    assert len(deltas) < 300
    assert [e.offset for e in deltas] == [
        sum(len(e.text) for e in deltas[:n]) for n in range(len(deltas))
    ]


async def test_half_a_surrogate_pair_from_a_model_is_replaced(desk: Desk) -> None:
    message = await desk.answer("a\ud83d", "\0b")
    assert (message.content, message.status) == ("a\ufffd\0b", "complete")


# --- ending ----------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["text", "prefill", "loading"])
async def test_stopping_ends_the_engines_work_and_keeps_what_came(desk: Desk, when: str) -> None:
    gate = asyncio.Event()
    if when == "loading":
        desk.engine.load_gate = gate
    steps: Sequence[Step] = (Progress(1, 2), Pause(gate), "x")
    desk.engine.script = say(*(("some ", Pause(gate), "more") if when == "text" else steps))
    sent = await desk.send()
    kind = ReplyDelta if when == "text" else ReplyProgress
    await until(lambda: desk.of(kind) and getattr(desk.of(kind)[-1], "phase", "") != "queued")
    await desk.turns.stop(sent.reply.id)
    message = await desk.ended(sent)
    assert (message.status, message.content) == ("stopped", "some " if when == "text" else "")
    assert message.error is None
    await until(lambda: not desk.engine.running and desk.engines.held == 0)
    # Stopping again changes nothing.
    await desk.turns.stop(sent.reply.id)
    assert await desk.chats.message(sent.reply.id) == message


async def test_an_engine_that_ignores_cancel_does_not_hold_the_reply(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("freehold.chats.turns.STOP_WAIT_S", 0.05)

    async def ignore(_request_id: str) -> None:
        return None

    monkeypatch.setattr(desk.engine, "cancel", ignore)
    desk.engine.script = say("some ", Pause(asyncio.Event()))
    sent = await desk.send()
    await until(lambda: desk.of(ReplyDelta))
    await desk.turns.stop(sent.reply.id)
    message = await desk.ended(sent)
    assert (message.status, message.content) == ("stopped", "some ")
    assert not desk.engine.running


@pytest.mark.parametrize(
    ("steps", "status", "code", "content"),
    [
        (("half ", Crash()), "interrupted", "engine_crashed", "half "),
        ((Crash("engine_stalled"),), "interrupted", "engine_stalled", ""),
        (
            (
                Failed(
                    id="",
                    error=WireError(
                        code="context_length_exceeded",
                        message="The chat has 9000 tokens, the model reads 4096.",
                        hint="Start a new chat.",
                        detail={"prompt_tokens": 9000, "context_tokens": 4096},
                    ),
                ),
            ),
            "failed",
            "context_length_exceeded",
            "",
        ),
        (
            (
                "half ",
                Failed(id="", error=WireError(code="invalid_template", message="m", hint="h")),
            ),
            "failed",
            "invalid_template",
            "half ",
        ),
    ],
)
async def test_failures_keep_the_question_and_the_partial_answer(
    desk: Desk, steps: tuple[Step, ...], status: str, code: str, content: str
) -> None:
    desk.engine.script = say(*steps)
    sent = await desk.send("my words")
    message = await desk.ended(sent)
    assert (message.status, message.content) == (status, content)
    assert message.error is not None
    assert message.error.code == code
    if code == "context_length_exceeded":
        assert message.error.detail == {"prompt_tokens": 9000, "context_tokens": 4096}
    chat = await desk.chats.chat(message.chat_id)
    assert chat.messages[0].content == "my words"
    (finished,) = desk.of(ReplyFinished)
    assert finished.message == message
    # The next question works.
    desk.engine.script = echo
    after = await desk.ended(await desk.send("again", message.id, chat.id))
    assert (after.status, after.content) == (
        "complete",
        ("again " if content else "my words again "),
    )


async def test_a_failed_load_fails_the_reply(desk: Desk) -> None:
    desk.engine.load_error = AppError("does_not_fit", "Too large.", "Choose a smaller one.")
    message = await desk.ended(await desk.send("keep"))
    assert message.error is not None
    assert (message.status, message.error.code) == ("failed", "does_not_fit")


async def test_without_any_model_the_question_is_kept_and_the_next_step_named(desk: Desk) -> None:
    desk.default = ""
    message = await desk.ended(await desk.send("keep"))
    assert message.error is not None
    assert (message.status, message.error.code) == ("failed", "model_not_found")
    assert "import" in message.error.hint


@pytest.mark.allow_logs("reply .* failed")
async def test_a_bug_ends_the_reply_without_its_traceback(desk: Desk) -> None:
    def broken(_request: GenerateRequest) -> Sequence[Step]:
        raise ZeroDivisionError("bug")

    desk.engine.script = broken
    message = await desk.ended(await desk.send())
    assert message.error is not None
    assert (message.status, message.error.code) == ("failed", "internal")
    assert "ZeroDivision" not in message.error.message


async def test_a_stream_that_just_ends_is_a_crash(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cut_off(request: GenerateRequest) -> AsyncIterator[Delta]:
        yield Delta(id=request.id, content="half")

    monkeypatch.setattr(desk.engine, "generate", cut_off)
    message = await desk.ended(await desk.send())
    assert (message.status, message.content) == ("interrupted", "half")


async def test_closing_keeps_replies_as_far_as_they_came(desk: Desk) -> None:
    gate = asyncio.Event()
    desk.engine.script = say("some ", Pause(gate), "more")
    sent = await desk.send()
    await until(lambda: desk.of(ReplyDelta))
    await desk.turns.close()
    message = await desk.chats.message(sent.reply.id)
    assert (message.status, message.content) == ("interrupted", "some ")
    assert message.error is not None
    with pytest.raises(AppError) as refused:
        await desk.send("late")
    assert refused.value.code == "busy"


@pytest.mark.parametrize("jump_s", [86_400, -86_400, 10 * 365 * 86_400, -10 * 365 * 86_400])
async def test_durations_do_not_follow_a_clock_that_jumps(desk: Desk, jump_s: float) -> None:
    now = [1_800_000_000.0]
    desk.turns._clock = lambda: now[0]
    gate = asyncio.Event()
    desk.engine.script = say("some ", Pause(gate), "more")
    sent = await desk.send()
    await until(lambda: desk.of(ReplyDelta))
    now[0] += jump_s
    gate.set()
    message = await desk.ended(sent)
    assert message.stats is not None
    assert 0 < message.stats.duration_s < 60
    assert all(0 <= delta.tokens_per_s < 1e6 for delta in desk.of(ReplyDelta))
    assert message.created_at == 1_800_000_000.0
    after = await desk.ended(await desk.send("next", message.id, message.chat_id))
    assert after.status == "complete"
    assert [m.content for m in (await desk.chats.chat(message.chat_id)).messages][2] == "next"


# --- several at once -------------------------------------------------------------------------


async def test_many_chats_at_once_are_never_mixed_up(desk: Desk) -> None:
    def canary(request: GenerateRequest) -> Sequence[Step]:
        assert isinstance(request.prompt, ChatPrompt)
        word = request.prompt.messages[-1]["content"]
        return [f"{word} " for _ in range(50)]

    desk.engine.script = canary
    sent = await asyncio.gather(*(desk.send(f"canary{n}") for n in range(16)))
    for number, one in enumerate(sent):
        assert (await desk.ended(one)).content == f"canary{number} " * 50
    texts: dict[str, str] = {}
    for delta in desk.of(ReplyDelta):
        assert delta.offset == len(texts.get(delta.message_id, ""))
        texts[delta.message_id] = texts.get(delta.message_id, "") + delta.text
    assert texts == {one.reply.id: f"canary{n} " * 50 for n, one in enumerate(sent)}


async def test_the_same_token_at_the_same_time_asks_once(desk: Desk) -> None:
    chat = await desk.chats.create()
    sent = await asyncio.gather(
        *(desk.turns.send(chat.id, "once", parent_id=None, token="same") for _ in range(8))
    )
    assert len({one.reply.id for one in sent}) == 1
    await desk.ended(sent[0])
    assert len(desk.engine.requests) == 1


async def test_the_reply_of_a_deleted_chat_ends(desk: Desk) -> None:
    desk.engine.script = say("some ", Pause(asyncio.Event()))
    sent = await desk.send()
    await until(lambda: desk.of(ReplyDelta))
    await desk.chats.trash(sent.reply.chat_id)
    await desk.chats.delete(sent.reply.chat_id)
    await desk.turns.stop_chat(sent.reply.chat_id)
    assert not desk.turns.running
    assert not desk.engine.running
    assert not desk.of(ReplyFinished)


async def test_a_client_that_leaves_while_sending_still_gets_its_answer(desk: Desk) -> None:
    chat = await desk.chats.create()
    sending = asyncio.create_task(desk.turns.send(chat.id, "typed", parent_id=None, token="left"))
    await asyncio.sleep(0)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    await until(lambda: desk.of(ReplyFinished))
    again = await desk.turns.send(chat.id, "typed", parent_id=None, token="left")
    assert again.reply.content == "typed "


@pytest.mark.parametrize("text", ["", "  \n ", "half \ud83d"])
async def test_words_that_cannot_be_sent_are_refused(desk: Desk, text: str) -> None:
    chat = await desk.chats.create()
    with pytest.raises(AppError) as refused:
        await desk.turns.send(chat.id, text, parent_id=None, token="t")
    assert refused.value.code == "invalid_request"
    assert (await desk.chats.chat(chat.id)).total == 0


# --- a disk that refuses ---------------------------------------------------------------------


async def set_page_limit(database: Database, pages: int) -> None:
    def set_limit() -> None:
        database._connection.execute(f"PRAGMA max_page_count = {pages}").fetchone()

    await asyncio.wrap_future(database._writer.submit(set_limit))


async def test_a_disk_that_fills_up_while_an_answer_comes_loses_nothing(desk: Desk) -> None:
    gate = asyncio.Event()
    desk.engine.script = say("first ", Pause(gate), "x" * 300_000, "end")
    sent = await desk.send("question")
    await until(lambda: desk.of(ReplyDelta))
    await set_page_limit(desk.database, 1)
    gate.set()
    message = await desk.ended(sent)
    assert message.status == "failed"
    assert message.error is not None
    assert message.error.code == "disk_full"
    assert message.content.startswith("first xxx")
    assert len(message.content) >= 300_006
    assert [notice.error.code for notice in desk.of(Notice)] == ["disk_full"]
    # What was stored can still be read, and a new question is refused, not swallowed.
    assert (await desk.chats.chat(message.chat_id)).messages[0].content == "question"
    with pytest.raises(AppError) as full:
        await desk.send("y" * 500_000, None, message.chat_id)
    assert full.value.code == "disk_full"
    # Room again: the answer reaches the disk by itself.
    await set_page_limit(desk.database, 1_000_000)
    await until(lambda: desk.turns._unsaved == {})
    assert await desk.chats.message(sent.reply.id) == message
