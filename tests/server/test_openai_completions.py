"""`/v1/completions` and `/v1/embeddings` asked by the real `openai` package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import openai
import pytest

from doubles.engine import FAKE_INFO, FakeEngine, say
from doubles.server import FakeModels, LiveServer, fake_entry, fake_house, live_server
from freehold.engine.protocol import Delta
from freehold.engine.requests import InfillPrompt, TextPrompt, TokenLogprob


@pytest.fixture
def models() -> FakeModels:
    return FakeModels(say("one ", "two"))


@pytest.fixture
def server(tmp_path: Path, models: FakeModels) -> Iterator[LiveServer]:
    entries = [fake_entry("tiny"), fake_entry("vec", kind="embedding")]
    with live_server(lambda: fake_house(tmp_path, models, entries)) as running:
        yield running


@pytest.fixture
def client(server: LiveServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0) as made:
        yield made


def test_a_string_prompt_with_echo(client: openai.OpenAI, models: FakeModels) -> None:
    answer = client.completions.create(model="tiny", prompt="zero ", echo=True)
    assert answer.object == "text_completion"
    assert answer.choices[0].text == "zero one two"
    assert models.last.requests[0].prompt == TextPrompt(text="zero ")
    assert models.last.requests[0].max_tokens == 16


def test_four_shapes_of_prompts(client: openai.OpenAI, models: FakeModels) -> None:
    for prompt in (["a", "b"], [1, 2], [[1, 2], [3]]):
        client.completions.create(model="tiny", prompt=prompt)
    prompts = [request.prompt for request in models.last.requests]
    assert prompts == [
        TextPrompt(text="a"),
        TextPrompt(text="b"),
        TextPrompt(tokens=(1, 2)),
        TextPrompt(tokens=(1, 2)),
        TextPrompt(tokens=(3,)),
    ]


def test_choices_of_several_prompts_are_numbered_and_counted(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="tiny", prompt=["a", "b"], n=2)
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 14  # two prompts, not four
    assert answer.usage.completion_tokens == 8


def test_streams_with_usage(client: openai.OpenAI) -> None:
    stream = client.completions.create(
        model="tiny", prompt="a", stream=True, echo=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(c.choices[0].text for c in chunks if c.choices) == "aone two"
    assert chunks[-1].usage is not None
    assert chunks[-2].choices[0].finish_reason == "stop"


def test_older_logprobs_shape(client: openai.OpenAI, models: FakeModels) -> None:
    token = TokenLogprob(token="hi", bytes=(104, 105), logprob=-0.5, top=(("hi", (1,), -0.5),))
    delta = Delta(id="", content="hi", logprobs=(token,), tokens=1)
    models.make = lambda: FakeEngine(say(delta, delta))
    answer = client.completions.create(model="tiny", prompt="a", logprobs=1)
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.tokens == ["hi", "hi"]
    assert logprobs.text_offset == [0, 2]
    assert logprobs.top_logprobs == [{"hi": -0.5}, {"hi": -0.5}]


def test_infill_where_the_model_has_it(client: openai.OpenAI, models: FakeModels) -> None:
    client.completions.create(model="tiny", prompt="def f(", suffix="):")
    assert models.last.requests[0].prompt == InfillPrompt(prefix="def f(", suffix="):")


def test_infill_is_refused_where_it_has_not(client: openai.OpenAI, models: FakeModels) -> None:
    info = msgspec.structs.replace(FAKE_INFO, has_infill=False)
    models.make = lambda: FakeEngine(info=info)
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model="tiny", prompt="def f(", suffix="):")
    assert caught.value.param == "suffix"


def test_best_of_and_bad_prompts_are_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="best_of"):
        client.completions.create(model="tiny", prompt="a", best_of=2)
    for prompt in ([], [[-1]], [1.5], [[]], [["a"]]):
        with pytest.raises(openai.BadRequestError):
            client.completions.create(model="tiny", prompt=prompt)


def test_embeddings_in_both_encodings(client: openai.OpenAI) -> None:
    for form in ("float", "base64"):
        answer = client.embeddings.create(model="vec", input=["a", "b"], encoding_format=form)
        assert len(answer.data) == 2
        assert answer.usage.prompt_tokens == 6
    # without a format the package asks for base64 and decodes it
    answer = client.embeddings.create(model="vec", input=[1, 2, 3])
    assert answer.data[0].embedding == [0.5, 0.5, 0.5, 0.5]


def test_embeddings_refuse_other_dimensions_and_nothing(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="4 numbers"):
        client.embeddings.create(model="vec", input="a", dimensions=2)
    for value in ("", [], [""]):
        with pytest.raises(openai.BadRequestError):
            client.embeddings.create(model="vec", input=value)
