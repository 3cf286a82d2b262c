"""The streaming reply: offsets, when to draw, and what is not its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio
import shiboken6

from doubles.client import FakeClient
from doubles.waiting import until
from freehold.errors import AppError
from freehold.ui.state.reply import FLUSH_MS, Reply
from freehold.ui.state.session import Session
from freehold.wire import Message, ReplyDelta, ReplyFinished


class Told:
    """What a reply told, in order."""

    def __init__(self, reply: Reply) -> None:
        self.names: list[str] = []
        reply.flush_due.connect(lambda: self.names.append("flush"))
        reply.finished.connect(lambda: self.names.append("finished"))


@pytest_asyncio.fixture(loop_scope="function")
async def client() -> FakeClient:
    client = FakeClient()
    chat = client.conversations.create(title="t", model_ref="", now=1.0)
    chat.add(message("", status="streaming"))
    return client


@pytest_asyncio.fixture(loop_scope="function")
async def reply(client: FakeClient) -> AsyncIterator[Reply]:
    session = Session(client)
    reply = Reply(message("", status="streaming"), session)
    yield reply
    shiboken6.delete(reply)
    shiboken6.delete(session)


def message(content: str, **fields: str) -> Message:
    return Message(
        id="m",
        chat_id="chat-1",
        parent_id=None,
        role="assistant",
        content=content,
        **fields,  # type: ignore[arg-type]
    )


def delta(offset: int, text: str, *, of: str = "m", part: str = "content") -> ReplyDelta:
    return ReplyDelta(
        chat_id="chat-1",
        message_id=of,
        part=part,  # type: ignore[arg-type]
        offset=offset,
        text=text,
    )


async def test_text_joins_and_many_deltas_are_one_drawing(reply: Reply) -> None:
    told = Told(reply)
    for number in range(50):
        reply.take(delta(number, "x"))
    reply.take(delta(0, "thought", part="reasoning"))
    assert told.names == []
    await until(lambda: told.names)
    assert told.names == ["flush"]
    assert (reply.content, reply.reasoning) == ("x" * 50, "thought")


async def test_a_slow_drawing_is_asked_for_less_often(reply: Reply) -> None:
    reply.take(delta(0, "a"))
    assert reply._timer.interval() == FLUSH_MS
    told = Told(reply)
    await until(lambda: told.names)
    reply.note_render(40)
    reply.take(delta(1, "b"))
    assert reply._timer.interval() == 120


async def test_repeated_and_overlapping_text_counts_once(reply: Reply, client: FakeClient) -> None:
    reply.take(delta(0, "Hello"))
    reply.take(delta(0, "Hello"))
    reply.take(delta(3, "lo you"))
    assert reply.content == "Hello you"
    assert not client.called("message")


async def test_a_hole_is_filled_by_reading_again(reply: Reply, client: FakeClient) -> None:
    reply.take(delta(0, "Hello"))
    client.conversations.update("m", content="Hello dear friend")
    reply.take(delta(10, " friend"))
    reply.take(delta(17, "!"))
    await until(lambda: reply.content == "Hello dear friend!")
    assert len(client.called("message")) == 1


async def test_a_failed_reading_is_tried_again_with_the_next_text(
    reply: Reply, client: FakeClient
) -> None:
    client.fail_next("message", AppError("server_unreachable", "No answer.", "Wait."))
    client.conversations.update("m", content="Hello you")
    reply.take(delta(5, " you"))
    await until(lambda: client.called("message") and not reply._reading)
    assert reply.content == ""
    reply.take(delta(5, " you"))
    await until(lambda: reply.content == "Hello you")


async def test_the_end_is_drawn_at_once_and_nothing_comes_after(reply: Reply) -> None:
    told = Told(reply)
    reply.take(delta(0, "Hel"))
    reply.take(ReplyFinished(chat_id="chat-1", message=message("Hello", status="complete")))
    assert told.names == ["flush", "finished"]
    assert reply.content == "Hello"
    reply.take(delta(5, " late"))
    reply.take(ReplyFinished(chat_id="chat-1", message=message("Other", status="complete")))
    assert reply.content == "Hello"
    assert told.names == ["flush", "finished"]


async def test_events_of_other_replies_are_dropped(reply: Reply, client: FakeClient) -> None:
    told = Told(reply)
    reply.take(delta(0, "no", of="other"))
    other = Message(
        id="other", chat_id="c", parent_id=None, role="assistant", content="x", status="complete"
    )
    reply.take(ReplyFinished(chat_id="c", message=other))
    assert reply.content == ""
    assert told.names == []
    assert not client.called("message")


async def test_reading_again_may_find_the_end(reply: Reply, client: FakeClient) -> None:
    client.conversations.update("m", content="All of it", status="complete")
    told = Told(reply)
    reply.read_again()
    await until(lambda: reply.is_final)
    assert reply.content == "All of it"
    assert told.names == ["flush", "finished"]
