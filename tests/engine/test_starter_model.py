"""The bundled starter model in the real engine, and the text it learned from against the app's."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from random import Random
from typing import Any

import pytest

from freehold.engine.chat_format import FormatHelper
from freehold.engine.process import ProcessEngine
from freehold.engine.protocol import Delta, Done, Failed
from freehold.engine.requests import ChatPrompt, GenerateRequest, LoadOptions, SamplingParams
from freehold.library.model_maker.recipe import kimi_template
from freehold.library.model_maker.vocabulary import KIMI_SPECIALS
from freehold.paths import resources
from starter_model.conversation import Conversation, Message, questions_of, render
from starter_model.guide_items import read_guide
from starter_model.mixture import conversations
from starter_model.tool_tasks import tool_task

pytestmark = pytest.mark.engine

MODEL = resources() / "models" / "freehold-starter-Q8_0.gguf"


@pytest.fixture
def helper() -> Iterator[FormatHelper]:
    made = FormatHelper(
        kimi_template(),
        bos_text="[BOS]",
        eos_text="<|im_end|>",
        special_texts=KIMI_SPECIALS,
    )
    yield made
    made.close()


@pytest.fixture
async def engine() -> AsyncIterator[ProcessEngine]:
    made = ProcessEngine()
    await made.load(LoadOptions(path=str(MODEL), context_tokens=4096, threads=2, parallel=1))
    yield made
    await made.close()


def as_request(conversation: Conversation) -> ChatPrompt:
    """The conversation as a client of the app would send it."""
    messages: list[dict[str, Any]] = []
    ids: list[str] = []
    count = 0
    for message in conversation.messages:
        one: dict[str, Any] = {"role": message.role, "content": message.text}
        if message.calls:
            one["tool_calls"] = []
            for call in message.calls:
                ids.append(f"functions.{call.name}:{count}")
                count += 1
                arguments = json.dumps(call.arguments, ensure_ascii=False)
                one["tool_calls"].append(
                    {
                        "id": ids[-1],
                        "type": "function",
                        "function": {"name": call.name, "arguments": arguments},
                    }
                )
        if message.role == "tool":
            one["tool_call_id"] = ids.pop(0)
        messages.append(one)
    return ChatPrompt(messages=tuple(messages), tools=conversation.tools)


def written(conversation: Conversation) -> str:
    return "".join(piece.text for piece in render(conversation, ask=True))


def test_training_text_is_what_the_app_makes_of_kimis_template(helper: FormatHelper) -> None:
    made = list(islice(conversations(read_guide(), "template"), 30))
    assert any(one.tools for one in made)
    assert any(one.messages[0].role == "system" for one in made)
    for whole in made:
        before, _ = questions_of(whole)[-1]
        assert helper.apply(as_request(before)).prompt == written(before)


async def answer(engine: ProcessEngine, conversation: Conversation) -> tuple[str, list[list[str]]]:
    """What the model says, and the calls it makes: name and arguments."""
    said, calls = "", {}
    request = GenerateRequest(
        id="r",
        prompt=as_request(conversation),
        max_tokens=200,
        sampling=SamplingParams(temperature=0.0),
    )
    async for event in engine.generate(request):
        assert not isinstance(event, Failed), event
        if isinstance(event, Done):
            assert event.finish_reason in ("stop", "tool_calls")
        elif isinstance(event, Delta):
            said += event.content
            for call in event.tool_calls:
                joined = calls.setdefault(call.index, ["", ""])
                joined[0] += call.name or ""
                joined[1] += call.arguments
    return said, list(calls.values())


def asking(text: str) -> Conversation:
    return Conversation((Message("user", text),))


async def test_answers_end_and_a_prompt_over_its_context_is_refused(engine: ProcessEngine) -> None:
    for text in ("hello", "привет", "How do I download a model?", "Write a poem.", "?"):
        said, calls = await answer(engine, asking(text))
        assert said.strip()
        assert "\ufffd" not in said
        assert "<|" not in said
        assert not calls
    request = GenerateRequest(id="long", prompt=as_request(asking("word " * 5000)))
    events = [event async for event in engine.generate(request)]
    (failed,) = [event for event in events if isinstance(event, Failed)]
    assert failed.error.code == "context_length_exceeded"


@pytest.mark.xfail(reason="the shipped file is trained too little for this: see its card")
async def test_it_greets_knows_the_app_and_calls_a_tool(engine: ProcessEngine) -> None:
    said, _ = await answer(engine, asking("hello"))
    assert "starter model" in said.lower()
    said, _ = await answer(engine, asking("How do I download a model?"))
    item = next(one for one in read_guide() if one.id == "download" and one.language == "en")
    assert item.is_answered_by(said)
    whole = tool_task(Random("test"), tools=2, turns=1, misses=0.0)
    before, expected = questions_of(whole)[0]
    _, calls = await answer(engine, before)
    (call,) = calls
    assert call[0] == expected.calls[0].name
    assert json.loads(call[1]) == expected.calls[0].arguments
