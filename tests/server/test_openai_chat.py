"""`/v1/chat/completions` over a real uvicorn, asked by the real `openai` package."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import httpx
import msgspec
import openai
import pytest
from openai.types.chat import ChatCompletionChunk

from doubles.engine import FakeEngine, Progress, fake_call, say
from doubles.server import FakeModels, LiveServer, fake_entry, fake_house, live_server
from freehold.engine.protocol import Delta, Done, Failed
from freehold.engine.requests import ChatPrompt, Timings, TokenLogprob, Usage, WireError

MESSAGES = [{"role": "user", "content": "one two three"}]


@pytest.fixture
def models() -> FakeModels:
    return FakeModels()


@pytest.fixture
def server(tmp_path: Path, models: FakeModels) -> Iterator[LiveServer]:
    entries = [fake_entry("tiny"), fake_entry("vec", kind="embedding")]
    with live_server(lambda: fake_house(tmp_path, models, entries)) as running:
        yield running


@pytest.fixture
def client(server: LiveServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0) as made:
        yield made


def post(server: LiveServer, body: object, path: str = "/v1/chat/completions") -> httpx.Response:
    return httpx.post(
        server.url + path,
        content=json.dumps(body),
        headers={"authorization": f"Bearer {server.key}", "content-type": "application/json"},
        timeout=20,
    )


def script(models: FakeModels, *steps: object) -> None:
    models.make = lambda: FakeEngine(say(*steps))  # type: ignore[arg-type]


def test_answers_whole(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="tiny", messages=MESSAGES)
    assert answer.object == "chat.completion"
    assert answer.model == "tiny"
    assert answer.choices[0].message.content == "one two three "
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 10


def test_streams_in_openais_shape(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="tiny", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert {chunk.id for chunk in chunks} == {chunks[0].id}
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == "one two three "
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 3
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_stream_ends_with_done_and_has_no_usage_unless_asked(server: LiveServer) -> None:
    answer = post(server, {"model": "tiny", "messages": MESSAGES, "stream": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = answer.text.strip().split("\n\n")
    assert events[-1] == "data: [DONE]"
    assert all("usage" not in json.loads(event[6:]) for event in events[:-1])
    assert "timings" in json.loads(events[-2][6:])


def test_no_heartbeat_or_role_comes_before_an_http_error(
    server: LiveServer, models: FakeModels
) -> None:
    error = WireError(
        code="context_length_exceeded",
        message="The prompt has 9,000 tokens and the context 4,096.",
        hint="Shorten it.",
        detail={"prompt_tokens": 9000, "context_tokens": 4096},
    )
    script(models, Failed(id="", error=error))
    for stream in (True, False):
        answer = post(server, {"model": "tiny", "messages": MESSAGES, "stream": stream})
        assert answer.status_code == 400
        body = answer.json()["error"]
        assert body["code"] == "context_length_exceeded"
        assert body["type"] == "invalid_request_error"
        assert body["detail"]["prompt_tokens"] == 9000


def _read_into(got: list[str | None], stream: Iterable[ChatCompletionChunk]) -> None:
    for chunk in stream:
        got.append(chunk.choices[0].delta.content)


def test_an_error_in_mid_stream_is_an_event(client: openai.OpenAI, models: FakeModels) -> None:
    error = WireError(code="internal", message="Broke.", hint="Try again.")
    script(models, "some", Failed(id="", error=error))
    stream = client.chat.completions.create(model="tiny", messages=MESSAGES, stream=True)
    got: list[str | None] = []
    with pytest.raises(openai.APIError, match="Broke"):
        _read_into(got, stream)
    assert "".join(filter(None, got)) == "some"


def test_reasoning_and_tool_calls_in_both_forms(client: openai.OpenAI, models: FakeModels) -> None:
    calls = fake_call("get_weather", '{"city": "Oslo"}')
    done = Done(id="", finish_reason="tool_calls", usage=Usage(), timings=Timings())
    script(models, Delta(id="", reasoning="hm", tokens=1), *calls, done)
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": {}}}]
    whole = client.chat.completions.create(model="tiny", messages=MESSAGES, tools=tools)
    message = whole.choices[0].message
    assert message.content is None
    assert message.reasoning_content == "hm"
    assert message.tool_calls is not None
    assert message.tool_calls[0].id == "call_1"
    assert json.loads(message.tool_calls[0].function.arguments) == {"city": "Oslo"}
    assert whole.choices[0].finish_reason == "tool_calls"

    stream = client.chat.completions.create(
        model="tiny", messages=MESSAGES, tools=tools, stream=True
    )
    pieces = [c.choices[0].delta for c in stream]
    assert pieces[1].reasoning_content == "hm"
    deltas = [call for piece in pieces for call in piece.tool_calls or []]
    assert [(d.index, d.id, d.type) for d in deltas[:2]] == [
        (0, "call_1", "function"),
        (0, None, None),
    ]
    assert "".join(d.function.arguments or "" for d in deltas) == '{"city": "Oslo"}'


def test_several_choices_have_their_own_seeds_and_one_prompt_count(
    client: openai.OpenAI, models: FakeModels
) -> None:
    answer = client.chat.completions.create(model="tiny", messages=MESSAGES, n=3, seed=10)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert sorted(r.sampling.seed or 0 for r in models.last.requests) == [10, 11, 12]
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (7, 9)


def test_logprobs(client: openai.OpenAI, models: FakeModels) -> None:
    token = TokenLogprob(
        token="hi", bytes=(104, 105), logprob=-0.5, top=(("hi", (104, 105), -0.5),)
    )
    script(models, Delta(id="", content="hi", logprobs=(token,), tokens=1))
    answer = client.chat.completions.create(
        model="tiny", messages=MESSAGES, logprobs=True, top_logprobs=1
    )
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert logprobs.content[0].top_logprobs[0].bytes == [104, 105]
    assert models.last.requests[0].logprobs == 1
    stream = client.chat.completions.create(
        model="tiny", messages=MESSAGES, logprobs=True, stream=True
    )
    chunks = list(stream)
    found = [c.choices[0].logprobs for c in chunks if c.choices[0].logprobs]
    assert found[0].content[0].logprob == -0.5
    assert models.last.requests[1].logprobs == 0


def test_everything_reaches_the_engine_and_unknown_fields_do_not(
    server: LiveServer, models: FakeModels
) -> None:
    body = {
        "model": "tiny",
        "messages": [
            {"role": "developer", "content": [{"type": "text", "text": "be"}], "evil": 1},
            {"role": "user", "content": "x"},
        ],
        "temperature": 0.1,
        "top_p": 0.5,
        "min_p": 0.01,
        "top_k": 5,
        "xtc_probability": 0.2,
        "dry_multiplier": 0.8,
        "mirostat": 2,
        "seed": 7,
        "logit_bias": {"12": -5},
        "stop": "END",
        "max_completion_tokens": 9,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "n", "schema": {"type": "object"}},
        },
        "reasoning_effort": "low",
        "chat_template_kwargs": {"enable_thinking": False, "k": 1},
        "n_discard": -1,
        "whatever": {"a": [1]},
        "model_path": "/etc/passwd",
    }
    assert post(server, body).status_code == 200
    request = models.last.requests[0]
    sampling = request.sampling
    assert isinstance(request.prompt, ChatPrompt)
    assert request.prompt.messages[0] == {"role": "system", "content": "be"}
    assert (sampling.temperature, sampling.top_p, sampling.top_k, sampling.mirostat) == (
        0.1,
        0.5,
        5,
        2,
    )
    assert sampling.logit_bias == {12: -5.0}
    assert (request.stop, request.max_tokens) == (("END",), 9)
    assert request.json_schema == '{"type": "object"}'
    assert request.prompt.enable_thinking is False
    assert request.prompt.template_kwargs == {"k": 1, "reasoning_effort": "low"}
    assert "evil" not in repr(request)
    assert "passwd" not in repr(request)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("temperature", [-0.1, 101, 1e400, "x", True]),
        ("top_p", [-0.1, 1.1]),
        ("min_p", [-1, 2]),
        ("top_k", [-2, 10**9, 1.5]),
        ("typical_p", [-0.1, 1.1]),
        ("repeat_last_n", [-2, 10**12]),
        ("repeat_penalty", [0, 11]),
        ("presence_penalty", [-2.1, 2.1]),
        ("frequency_penalty", [-2.1, 2.1]),
        ("dry_base", [0.5, 1000]),
        ("dry_allowed_length", [-1]),
        ("dry_penalty_last_n", [-2]),
        ("mirostat", [-1, 3]),
        ("mirostat_tau", [-1]),
        ("mirostat_eta", [-1, 2]),
        ("xtc_threshold", [-1, 2]),
        ("n", [0, -1, 1000]),
        ("seed", [2**70]),
        ("max_tokens", [0, -2, 10**12]),
        ("max_completion_tokens", [0, -2]),
        ("top_logprobs", [-1, 21, 5]),  # the last one without `logprobs`
        ("logit_bias", [{"x": 1}, {"1": 101}, {"-1": 1}]),
        ("stop", ["", [""], ["a"] * 33]),
        ("messages", [[], "x", [{"role": "emperor", "content": "x"}], [{"role": "user"}]]),
        ("tools", [[{"type": "function", "function": {"name": "a b"}}], "x"]),
        ("tool_choice", ["required", {"type": "function", "function": {"name": "none"}}]),
        ("response_format", [{"type": "json_schema"}, {"type": "xml"}]),
        ("grammar", ["x" * 70_000, 3]),
        ("reasoning_effort", ["huge"]),
    ],
)
def test_values_out_of_bounds_are_refused_by_name(
    server: LiveServer, models: FakeModels, field: str, values: list[object]
) -> None:
    for value in values:
        answer = post(server, {"model": "tiny", "messages": MESSAGES, field: value})
        assert answer.status_code == 400, value
        error = answer.json()["error"]
        assert set(error) >= {"message", "type", "param", "code"}
        assert error["type"] == "invalid_request_error"
        assert value == 1e400 or field in (error["param"] or ""), error
    assert models.made == []


def test_a_model_nobody_has_is_a_404_and_an_embedding_model_cannot_chat(
    server: LiveServer, client: openai.OpenAI
) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="nope", messages=MESSAGES)
    assert caught.value.code == "model_not_found"
    assert post(server, {"model": "vec", "messages": MESSAGES}).status_code == 400


def test_models_are_listed(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["tiny", "vec"]
    assert client.models.retrieve("tiny").owned_by == "freehold"


def test_the_only_chat_model_answers_when_none_is_named(server: LiveServer) -> None:
    assert post(server, {"messages": MESSAGES}).json()["model"] == "tiny"


def test_prefill_is_told_as_comments_that_clients_ignore(
    client: openai.OpenAI, models: FakeModels
) -> None:
    script(models, Progress(1, 2), "a")
    stream = client.chat.completions.create(model="tiny", messages=MESSAGES, stream=True)
    assert "".join(c.choices[0].delta.content or "" for c in stream) == "a"


def test_metrics_count_what_was_done(server: LiveServer, client: openai.OpenAI) -> None:
    client.chat.completions.create(model="tiny", messages=MESSAGES)
    answer = httpx.get(f"{server.url}/metrics", headers={"x-api-key": server.key})
    assert 'freehold_tokens_total{model="tiny",kind="completion"} 3' in answer.text
    assert 'freehold_requests_total{route="/v1/chat/completions",status="200"} 1' in answer.text
    assert 'freehold_engine_up{model="tiny"} 1' in answer.text
    assert "freehold_requests_in_flight 0" in answer.text


def test_the_api_for_other_programs_can_be_switched_off(server: LiveServer) -> None:
    headers = {"x-api-key": server.key}
    settings = server.house.settings
    settings.save(msgspec.structs.replace(settings.current, api_enabled=False))
    answer = post(server, {"model": "tiny", "messages": MESSAGES})
    assert answer.status_code == 403
    assert "switched off" in answer.json()["error"]["message"]
    state = httpx.get(f"{server.url}/freehold/v1/state", headers=headers)
    assert state.status_code == 200
    settings.save(msgspec.structs.replace(settings.current, api_enabled=True))
    assert post(server, {"model": "tiny", "messages": MESSAGES}).status_code == 200
