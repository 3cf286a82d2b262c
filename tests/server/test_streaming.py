"""Streams that are left, that wait, that crash, that are many, and readers who stop reading."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import openai
import pytest

from doubles.engine import Crash, FakeEngine, Pause, Progress, say
from doubles.server import FakeModels, LiveServer, fake_entry, fake_house, live_server
from freehold.engine.requests import GenerateRequest
from freehold.errors import AppError
from freehold.server import engines as engines_module
from freehold.server import event_stream

CHAT = "/v1/chat/completions"


@pytest.fixture
def models() -> FakeModels:
    return FakeModels()


@pytest.fixture
def server(tmp_path: Path, models: FakeModels) -> Iterator[LiveServer]:
    entries = [fake_entry("tiny"), fake_entry("other")]
    with live_server(lambda: fake_house(tmp_path, models, entries)) as running:
        yield running


@pytest.fixture
def quick_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "FIRST_HEARTBEAT_S", 0.02)
    monkeypatch.setattr(event_stream, "HEARTBEAT_S", 0.02)
    monkeypatch.setattr(event_stream, "_LOOK_S", 0.01)


def until(condition: Callable[[], object], limit_s: float = 5.0) -> float:
    """Wait for a condition and return how long it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < limit_s, "the condition was never met"
        time.sleep(0.005)
    return time.monotonic() - began


def body(text: str = "one two", model: str = "tiny", stream: bool = True) -> bytes:
    messages = [{"role": "user", "content": text}]
    return json.dumps({"model": model, "messages": messages, "stream": stream}).encode()


def connect(server: LiveServer, content: bytes) -> socket.socket:
    """Send a chat request on a bare socket."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    head = (
        f"POST {CHAT} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nX-Api-Key: {server.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    connection.sendall(head.encode() + content)
    return connection


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("steps", [["a"], []], ids=["in decode", "in prefill"])
def test_who_leaves_frees_the_slot_at_once(
    server: LiveServer, models: FakeModels, stream: bool, steps: list[str]
) -> None:
    models.make = lambda: FakeEngine(say(Progress(1, 9), *steps, Pause(asyncio.Event()), "b"))
    connection = connect(server, body(stream=stream))
    until(lambda: models.made and models.last.running)
    connection.close()
    assert until(lambda: not models.last.running) < 1
    assert len(models.last.cancelled) == 1
    until(lambda: server.house.counters.disconnects == 1)


def test_who_leaves_while_the_model_loads_is_forgotten(
    server: LiveServer, models: FakeModels
) -> None:
    gate = asyncio.Event()
    models.make = lambda: FakeEngine(load_gate=gate)
    connection = connect(server, body())
    until(lambda: models.made)
    connection.close()
    until(lambda: server.house.counters.in_flight == 0)
    server.call(gate.set)
    until(lambda: server.house.engines.states()[0].phase == "ready")
    assert models.last.requests == []


@pytest.mark.usefixtures("quick_heartbeats")
def test_waiting_is_told_in_comments(server: LiveServer, models: FakeModels) -> None:
    load_gate, gate = asyncio.Event(), asyncio.Event()
    models.make = lambda: FakeEngine(
        say(Progress(3, 7), Pause(gate), "a"), load_gate=load_gate, load_progress=(0.25,)
    )
    with connect(server, body()) as connection:
        seen = b""
        while b": loading 25%\n\n" not in seen:
            seen += connection.recv(4096)
        assert seen.startswith(b"HTTP/1.1 200")
        server.call(load_gate.set)
        while b": prefill 3/7\n\n" not in seen:
            seen += connection.recv(4096)
        server.call(gate.set)
        while b"[DONE]" not in seen:
            seen += connection.recv(4096)


@pytest.mark.usefixtures("quick_heartbeats")
def test_a_load_that_fails_after_a_heartbeat_is_an_event(
    server: LiveServer, models: FakeModels
) -> None:
    gate = asyncio.Event()
    error = AppError("invalid_model", "The file is cut short.", "Get it again.")
    models.make = lambda: FakeEngine(load_gate=gate, load_error=error)
    with connect(server, body()) as connection:
        seen = connection.recv(4096)
        assert seen.startswith(b"HTTP/1.1 200")
        server.call(gate.set)
        while b"cut short" not in seen:
            seen += connection.recv(4096)
        assert b'data: {"error":{"message":"The file is cut short.' in seen
        assert b"[DONE]" not in seen


@pytest.mark.allow_logs("the engine of .* crashed")
def test_a_crash_ends_its_streams_alone(server: LiveServer, models: FakeModels) -> None:
    gate = asyncio.Event()
    models.make = lambda: FakeEngine(say("x", Pause(gate), "y"))
    with connect(server, body(model="other")) as other:
        until(lambda: models.made and models.last.running)
        models.make = lambda: FakeEngine(say("part", Crash()))
        with openai.OpenAI(
            base_url=f"{server.url}/v1", api_key=server.key, max_retries=0
        ) as client:
            stream = client.chat.completions.create(
                model="tiny", messages=[{"role": "user", "content": "a"}], stream=True
            )
            got: list[str] = []
            with pytest.raises(openai.APIError, match="SIGKILL") as caught:
                _read_into(got, stream)
            assert "".join(got) == "part"
            assert isinstance(caught.value.body, dict)
            assert caught.value.body["code"] == "engine_crashed"
            models.make = FakeEngine
            answer = client.chat.completions.create(
                model="tiny", messages=[{"role": "user", "content": "again"}]
            )
            assert answer.choices[0].message.content == "again "
        server.call(gate.set)
        seen = b""
        while b"[DONE]" not in seen:
            seen += other.recv(4096)
        assert b'"content":"y"' in seen


def _read_into(got: list[str], stream: Iterator[object]) -> None:
    for chunk in stream:
        got.append(chunk.choices[0].delta.content or "")  # type: ignore[attr-defined]


@pytest.mark.allow_logs("the engine of .* crashed")
def test_a_crash_before_the_first_token_is_a_503_to_be_tried_again(
    server: LiveServer, models: FakeModels
) -> None:
    models.make = lambda: FakeEngine(say(Crash()))
    headers = {"x-api-key": server.key, "content-type": "application/json"}
    answer = httpx.post(server.url + CHAT, content=body(stream=True), headers=headers)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["error"]["code"] == "engine_crashed"


def test_too_many_waiting_get_a_503_with_retry_after(
    server: LiveServer, models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines_module, "MAX_HELD", 1)
    gate = asyncio.Event()
    models.make = lambda: FakeEngine(say(Pause(gate), "a"))
    with connect(server, body()):
        until(lambda: models.made and models.last.running)
        headers = {"x-api-key": server.key, "content-type": "application/json"}
        answer = httpx.post(server.url + CHAT, content=body(), headers=headers)
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "5"
        assert answer.json()["error"]["code"] == "busy"
        server.call(gate.set)


def test_sixteen_streams_at_once_are_not_mixed_up(server: LiveServer) -> None:
    async def one(client: openai.AsyncOpenAI, number: int) -> str:
        stream = await client.chat.completions.create(
            model="tiny",
            messages=[{"role": "user", "content": f"canary-{number} " * 50}],
            stream=True,
        )
        return "".join([c.choices[0].delta.content or "" async for c in stream])

    async def all_of_them() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key=server.key) as client:
            return await asyncio.gather(*(one(client, number) for number in range(16)))

    for number, text in enumerate(asyncio.run(all_of_them())):
        assert text == f"canary-{number} " * 50


def test_a_reader_who_stops_reading_is_let_go(
    server: LiveServer, models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "STUCK_LIMIT_S", 0.1)
    monkeypatch.setattr(event_stream, "_LOOK_S", 0.02)
    sent = 0

    def endless(_request: GenerateRequest) -> list[str]:
        class Endless(list[str]):
            def __iter__(self) -> Iterator[str]:
                nonlocal sent
                while True:
                    sent += 1
                    yield "x" * 10_000

        return Endless()

    models.make = lambda: FakeEngine(endless)
    with connect(server, body()):
        until(lambda: models.made and models.last.running)
        until(lambda: models.last.cancelled)
    assert sent < 5_000  # held back by the socket, not buffered without end


def test_a_server_that_ends_lets_its_streams_go(tmp_path: Path, models: FakeModels) -> None:
    models.make = lambda: FakeEngine(say("a", Pause(asyncio.Event())))
    began = 0.0
    with live_server(lambda: fake_house(tmp_path / "end", models)) as server:
        connection = connect(server, body())
        until(lambda: models.made and models.last.running)
        began = time.monotonic()
    assert time.monotonic() - began < 3
    assert models.last.closed
    connection.close()
