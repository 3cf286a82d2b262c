"""Real engine processes behind a real uvicorn: many streams, leavers, lost workers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from doubles.models import tiny_llama, tiny_model
from doubles.server import LiveServer, fake_paths, live_server
from freehold.engine.process import ProcessEngine
from freehold.server.wiring import House, build_house
from freehold.wire import LoadRequest

pytestmark = [pytest.mark.engine, pytest.mark.allow_leaks("the server of this module")]
STALL_S = 2.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("served")

    def make_house() -> House:
        return build_house(fake_paths(folder), make_engine=lambda: ProcessEngine(stall_s=STALL_S))

    with live_server(make_house) as running:
        yield running


@pytest.fixture(scope="module")
def ref(server: LiveServer) -> str:
    return take_in(server, tiny_model())


@pytest.fixture(scope="module")
def other(server: LiveServer) -> str:
    return take_in(server, tiny_llama())


@pytest.fixture
def client(server: LiveServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0) as made:
        yield made


def take_in(server: LiveServer, path: Path) -> str:
    """Import a model and load it with room for 16 at once."""

    async def run() -> str:
        entry = await server.house.library.import_file(str(path))
        await server.house.engines.load(
            entry.ref, LoadRequest(context_tokens=16384, parallel=16, threads=2)
        )
        await server.house.engines.wait_loaded(entry.ref)
        return entry.ref

    return str(server.call(run))


def pid_of(server: LiveServer, ref: str) -> int:
    states = server.call(lambda: server.house.engines.states())
    return int(next(s.pid for s in states if s.ref == ref))  # type: ignore[attr-defined]


def until(condition: Callable[[], object], limit_s: float = 10.0) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < limit_s, "the condition was never met"
        time.sleep(0.01)
    return time.monotonic() - began


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def gather_streams(server: LiveServer, requests: list[dict[str, Any]]) -> list[str]:
    """Run all requests at once and return their texts."""

    async def one(client: openai.AsyncOpenAI, request: dict[str, Any]) -> str:
        stream = await client.chat.completions.create(stream=True, **request)
        return "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])

    async def run() -> list[str]:
        api = f"{server.url}/v1"
        async with openai.AsyncOpenAI(base_url=api, api_key=server.key, max_retries=0) as client:
            return await asyncio.gather(*(one(client, request) for request in requests))

    return asyncio.run(run())


def test_sixteen_streams_finish_and_none_are_mixed_up(server: LiveServer, ref: str) -> None:
    canaries = [" ".join([f"canary{number}"] * 12) for number in range(16)]
    requests = [
        {
            "model": ref,
            "messages": user(f"question {number}"),
            "max_tokens": 400,
            "extra_body": {"grammar": f'root ::= "{canary}"'},
        }
        for number, canary in enumerate(canaries)
    ]
    assert gather_streams(server, requests) == canaries


def test_sixteen_free_streams_all_finish_at_their_length(server: LiveServer, ref: str) -> None:
    requests = [
        {"model": ref, "messages": user(f"q{number} " * (number + 1)), "max_tokens": 40}
        for number in range(16)
    ]
    assert all(gather_streams(server, requests))


def test_the_same_seed_gives_the_same_answer_streamed_or_whole(
    client: openai.OpenAI, server: LiveServer, other: str
) -> None:
    request = {"model": other, "messages": user("same"), "max_tokens": 20, "seed": 3}
    # The first run computes the prompt in one batch, later ones only its last token, and the
    # number of threads may change: sums differ in the last bit. The dense model keeps its words
    # then; a random router would send a token to other experts.
    client.chat.completions.create(**request)  # type: ignore[call-overload]
    whole = client.chat.completions.create(**request)  # type: ignore[call-overload]
    assert gather_streams(server, [request]) == [whole.choices[0].message.content]
    assert whole.usage.completion_tokens == 20
    assert whole.choices[0].finish_reason == "length"
    assert whole.usage.prompt_tokens_details.cached_tokens > 0


def test_json_schema_and_stop(client: openai.OpenAI, ref: str) -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer", "minimum": 1, "maximum": 9}},
        "required": ["n"],
        "additionalProperties": False,
    }
    form: Any = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    answer = client.chat.completions.create(
        model=ref, messages=user("a number"), max_tokens=60, response_format=form
    )
    assert 1 <= json.loads(answer.choices[0].message.content or "")["n"] <= 9
    answer = client.chat.completions.create(
        model=ref,
        messages=user("x"),
        max_tokens=60,
        stop="STOP",
        extra_body={"grammar": 'root ::= "before STOP after"'},
    )
    assert answer.choices[0].message.content == "before "
    assert answer.choices[0].finish_reason == "stop"


def test_a_prompt_over_the_context_is_refused_with_the_numbers(
    client: openai.OpenAI, ref: str
) -> None:
    for stream in (True, False):
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(
                model=ref, messages=user("word " * 20_000), stream=stream
            )
        assert caught.value.code == "context_length_exceeded"
        assert "16,384" in caught.value.message.replace("16384", "16,384")


def test_bad_grammars_and_schemas_are_refused_and_the_engine_lives(
    client: openai.OpenAI, server: LiveServer, ref: str
) -> None:
    pid = pid_of(server, ref)
    bad: list[dict[str, Any]] = [
        {"grammar": "root ::= ("},
        {"grammar": "root ::= root"},
        {"json_schema": {"type": "nonsense"}},
        {"json_schema": {"$ref": "#/nowhere"}},
    ]
    for extra in bad:
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(
                model=ref, messages=user("x"), max_tokens=5, extra_body=extra
            )
    assert pid_of(server, ref) == pid


def test_text_completions_and_infill(client: openai.OpenAI, ref: str, other: str) -> None:
    text = client.completions.create(model=ref, prompt="Hello", max_tokens=4, echo=True, n=2)
    assert len(text.choices) == 2
    assert all(choice.text.startswith("Hello") for choice in text.choices)
    assert client.completions.create(model=other, prompt="a", suffix="b", max_tokens=4).usage
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model=ref, prompt="a", suffix="b", max_tokens=4)
    assert caught.value.param == "suffix"


def long_stream(server: LiveServer, ref: str, text: str = "long") -> Any:
    """Begin an answer that lasts."""
    return httpx.stream(
        "POST",
        f"{server.url}/v1/chat/completions",
        content=json.dumps(
            {"model": ref, "messages": user(text), "stream": True, "max_tokens": 12000}
        ),
        headers={"x-api-key": server.key, "content-type": "application/json"},
        timeout=30,
    )


def running(server: LiveServer, ref: str) -> int:
    async def read() -> int:
        async with server.house.engines.lease(ref) as held:
            return (await held.engine.stats()).running

    return int(server.call(read))  # type: ignore[call-overload]


def test_who_leaves_frees_the_slot_within_a_second(server: LiveServer, ref: str) -> None:
    until(lambda: running(server, ref) == 0)
    with long_stream(server, ref) as answer:
        pieces = answer.iter_bytes()  # held, because its end would end the connection
        next(pieces)
        until(lambda: running(server, ref) == 1)
    assert until(lambda: running(server, ref) == 0) < 1


def test_who_leaves_in_prefill_frees_the_slot_too(server: LiveServer, ref: str) -> None:
    with long_stream(server, ref, "word " * 9_000) as answer:
        assert answer.status_code == 200
    assert until(lambda: running(server, ref) == 0) < 1


@pytest.mark.allow_logs("the engine of .* crashed")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP])
def test_a_lost_worker_is_a_clean_error_and_the_next_request_works(
    client: openai.OpenAI, server: LiveServer, ref: str, other: str, how: signal.Signals
) -> None:
    server.call(lambda: server.house.engines.load(ref))  # forgives the crashes before
    server.call(lambda: server.house.engines.wait_loaded(ref))
    with long_stream(server, other) as unharmed:
        kept = unharmed.iter_bytes()
        next(kept)
        with long_stream(server, ref) as answer:
            lines = answer.iter_lines()
            next(lines)
            pid = pid_of(server, ref)
            os.kill(pid, how)
            rest = [line for line in lines if line.startswith("data: ")]
        error = json.loads(rest[-1].removeprefix("data: "))["error"]
        code = "engine_stalled" if how == signal.SIGSTOP else "engine_crashed"
        assert error["code"] == code
        assert how == signal.SIGSTOP or how.name in error["message"] + json.dumps(error)
        again = client.chat.completions.create(model=ref, messages=user("again"), max_tokens=4)
        assert again.usage is not None
        assert again.usage.completion_tokens == 4
        assert pid_of(server, ref) != pid
        assert not Path(f"/proc/{pid}").exists()
        assert b"chat.completion.chunk" in next(kept)
