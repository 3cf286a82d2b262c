"""What a request produced is told completely, merged when it waits, and ends at its stop string."""

from __future__ import annotations

import asyncio

import pytest

from freehold.engine.chat_values import ParsedDelta
from freehold.engine.mailbox import WAITING_EVENTS, Mailbox
from freehold.engine.output import OutputReader
from freehold.engine.protocol import Delta, Done, PrefillProgress
from freehold.engine.requests import Timings, TokenLogprob, ToolCallDelta, Usage
from freehold.errors import AppError


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class SlowParser:
    """Reads text before "|" as a thought, after "!" as a tool call; each call takes 10 ms."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.calls = 0
        self.is_closed = False
        self._thinking = True

    def feed(self, text: str, final: bool = False) -> ParsedDelta:
        self.calls += 1
        self.clock.now_s += 0.01
        reasoning = ""
        if self._thinking:
            reasoning, bar, text = text.partition("|")
            self._thinking = not bar
        content, mark, _ = text.partition("!")
        calls = (ToolCallDelta(index=0, name="look"),) if mark else ()
        return ParsedDelta(content=content, reasoning=reasoning, tool_calls=calls)

    def close(self) -> None:
        self.is_closed = True


def test_tokens_are_merged_until_taken() -> None:
    reader = OutputReader((), None)
    assert reader.take("r") is None
    for piece in (b"one ", b"\xf0\x9f", b"\x8f\xa0", b" two"):
        reader.add(piece)
    assert reader.take("r") == Delta(id="r", content="one 🏠 two", tokens=4)
    assert reader.take("r") is None
    assert reader.token_count == 4


def test_text_ends_where_the_stop_string_begins_and_later_tokens_do_not_count() -> None:
    reader = OutputReader(("END",), None)
    assert reader.add(b"hello E") is False
    assert reader.add(b"ND and ") is True
    assert reader.add(b"more") is False
    reader.finish()
    assert reader.take("r") == Delta(id="r", content="hello ", tokens=2)
    assert reader.token_count == 2
    assert reader.stop_text == "END"


def test_what_was_held_back_is_told_at_the_end() -> None:
    reader = OutputReader(("END",), None)
    reader.add(b"hello E")
    reader.add(b"\xf0\x9f")
    reader.finish()
    delta = reader.take("r")
    assert delta is not None
    assert delta.content == "hello E\ufffd"
    assert reader.stop_text is None


def test_log_probabilities_travel_with_their_tokens() -> None:
    reader = OutputReader((), None)
    entry = TokenLogprob(token="a", bytes=(97,), logprob=-1.0)
    reader.add(b"a", entry)
    delta = reader.take("r")
    assert delta is not None
    assert delta.logprobs == (entry,)


def test_parsing_is_spread_out_and_complete_at_the_end() -> None:
    clock = Clock()
    parser = SlowParser(clock)
    reader = OutputReader((), parser, clock)
    reader.add(b"think")
    first = reader.take("r")
    assert first is not None
    assert first.reasoning == "think"
    for _ in range(50):
        reader.add(b"x")
        clock.now_s += 0.001
        reader.take("r")
    assert parser.calls < 5
    reader.add(b"|said")
    reader.add(b"!")
    reader.finish()
    last = reader.take("r")
    assert last is not None
    assert last.content == "said"
    assert last.tool_calls[0].name == "look"
    assert reader.saw_tool_call
    assert 0 < reader.reasoning_tokens <= 51
    reader.close()
    assert parser.is_closed


async def test_a_slow_reader_gets_everything_in_few_events() -> None:
    mailbox = Mailbox()
    for number in range(5000):
        mailbox.put(Delta(id="r", content=f"{number} ", tokens=1))
    assert len(mailbox) <= WAITING_EVENTS
    mailbox.put(Done(id="r", finish_reason="stop", usage=Usage(), timings=Timings()))
    text, tokens = "", 0
    while True:
        event = await mailbox.take()
        if isinstance(event, Done):
            break
        assert isinstance(event, Delta)
        text += event.content
        tokens += event.tokens
    assert text.split() == [str(number) for number in range(5000)]
    assert tokens == 5000


async def test_only_the_latest_progress_waits() -> None:
    mailbox = Mailbox()
    for done in range(10):
        mailbox.put(PrefillProgress(id="r", done=done, total=10))
    assert len(mailbox) == 1
    assert await mailbox.take() == PrefillProgress(id="r", done=9, total=10)


async def test_a_failure_comes_after_what_was_received() -> None:
    mailbox = Mailbox()
    mailbox.put(Delta(id="r", content="part"))
    mailbox.fail(AppError("engine_crashed", "gone"))
    assert await mailbox.take() == Delta(id="r", content="part")
    with pytest.raises(AppError, match="gone"):
        await mailbox.take()


async def test_a_waiting_reader_wakes_up() -> None:
    mailbox = Mailbox()
    waiting = asyncio.ensure_future(mailbox.take())
    await asyncio.sleep(0)
    mailbox.put(Delta(id="r", content="x"))
    assert await waiting == Delta(id="r", content="x")
