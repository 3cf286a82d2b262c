"""`/v1/chat/completions` over a real uvicorn, asked by the real `openai` package."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest

from doubles.engine import FakeEngine, say
from doubles.server import FakeModels, LiveServer, fake_entry, fake_house, live_server

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
