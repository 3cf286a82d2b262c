"""Formats, grammars and parser together in a real engine: random weights must still obey."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from doubles.chat_outputs import FORECAST_TOOL, WEATHER_TOOL
from doubles.models import tiny_model
from freehold.engine.native import templates_folder
from freehold.engine.process import ProcessEngine
from freehold.engine.protocol import Delta, Done, Failed
from freehold.engine.requests import ChatPrompt, GenerateRequest, LoadOptions, SamplingParams

pytestmark = pytest.mark.engine

USER = {"role": "user", "content": "Weather?"}
# Short enough for random weights to come to an end.
SCHEMA = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "green"]}, "count": {"type": "boolean"}},
    "required": ["colour", "count"],
    "additionalProperties": False,
}
TEMPLATES = (
    "Kimi-K2-Instruct",
    "Qwen-Qwen3-0.6B",
    "GLM-4.6",
    "meta-llama-Llama-3.1-8B-Instruct",
    "google-gemma-4-31B-it",
)


@pytest.fixture(params=TEMPLATES)
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[ProcessEngine]:
    engine = ProcessEngine()
    template = (templates_folder() / f"{request.param}.jinja").read_text()
    await engine.load(
        LoadOptions(path=str(tiny_model()), chat_template=template, context_tokens=4096, threads=1)
    )
    yield engine
    await engine.close()


class Answer:
    """A joined answer."""

    def __init__(self) -> None:
        self.content = self.reasoning = self.finish = ""
        self.calls: dict[int, list[str]] = {}


async def ask(engine: ProcessEngine, prompt: ChatPrompt, schema: str | None = None) -> Answer:
    answer = Answer()
    request = GenerateRequest(
        id="r",
        prompt=prompt,
        json_schema=schema,
        max_tokens=400,
        sampling=SamplingParams(seed=3, temperature=1.0),
    )
    async for event in engine.generate(request):
        assert not isinstance(event, Failed), event
        if isinstance(event, Done):
            answer.finish = event.finish_reason
        elif isinstance(event, Delta):
            answer.content += event.content
            answer.reasoning += event.reasoning
            for call in event.tool_calls:
                joined = answer.calls.setdefault(call.index, ["", ""])
                joined[0] += call.name or ""
                joined[1] += call.arguments
    return answer


async def test_a_schema_is_kept(engine: ProcessEngine) -> None:
    answer = await ask(
        engine, ChatPrompt(messages=(USER,), enable_thinking=False), json.dumps(SCHEMA)
    )
    assert answer.finish == "stop"
    assert set(json.loads(answer.content)) == {"colour", "count"}


async def test_tools_at_hand_change_nothing_for_an_answer(engine: ProcessEngine) -> None:
    answer = await ask(engine, ChatPrompt(messages=(USER,), tools=(WEATHER_TOOL, FORECAST_TOOL)))
    assert answer.finish in ("stop", "length", "tool_calls")
    assert answer.content or answer.reasoning or answer.calls
