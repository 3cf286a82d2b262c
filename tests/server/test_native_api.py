"""Freehold's own API over a real server: bad input, who may do what, and the event stream."""

from __future__ import annotations

import hmac
import json
import socket
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import apsw
import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from doubles.server import FakeModels, LiveServer, fake_entry, fake_house, live_server
from freehold.client.http import HttpClient
from freehold.client.sse import SseParser
from freehold.errors import AppError
from freehold.server import native_json
from freehold.wire import Chat, Envelope, Hello, Notice, Resync, Sent, State

API = "/freehold/v1"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("house")
    with live_server(lambda: fake_house(folder, FakeModels(), [fake_entry("tiny")])) as running:
        yield running


pytestmark = pytest.mark.allow_leaks("the server of this module runs as long as the module")


@pytest.fixture
def http(server: LiveServer) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {server.key}"}
    with httpx.Client(base_url=server.url + API, headers=headers, timeout=20) as client:
        yield client


def make_chat(http: httpx.Client) -> Chat:
    return msgspec.json.decode(http.post("/chats", json={}).content, type=Chat)


def error_of(response: httpx.Response) -> dict[str, Any]:
    error: dict[str, Any] = response.json()["error"]
    assert error["message"]
    return error


# --- who answers, who may ask ----------------------------------------------------------------


def test_hello_answers_a_challenge_without_a_key(server: LiveServer) -> None:
    nonce = "n" * 32
    response = httpx.get(f"{server.url}{API}/hello", params={"nonce": nonce})
    hello = msgspec.json.decode(response.content, type=Hello)
    assert hello.proof == hmac.new(server.key.encode(), nonce.encode(), sha256).hexdigest()
    assert server.key not in response.text
    plain = httpx.get(f"{server.url}{API}/hello")
    assert plain.json()["proof"] == ""
    assert httpx.get(f"{server.url}{API}/hello", params={"nonce": "short"}).status_code == 400


async def test_the_key_is_not_sent_to_who_cannot_prove_to_know_it(server: LiveServer) -> None:
    client = HttpClient(server.url, "fh-another-key")
    try:
        with pytest.raises(AppError) as refused:
            await client.state()
        assert refused.value.code == "unauthorized"
    finally:
        await client.close()


async def test_an_impostor_never_sees_the_key() -> None:
    seen: list[httpx.Request] = []

    def impostor(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        hello = Hello(api=1, version="9", instance_id="x", pid=1, proof="0" * 64)
        return httpx.Response(200, content=msgspec.json.encode(hello))

    client = HttpClient("http://127.0.0.1:1", "fh-secret", transport=httpx.MockTransport(impostor))
    with pytest.raises(AppError):
        await client.send("c", "private words", parent_id=None, token="t")
    await client.close()
    assert [request.url.path for request in seen] == [f"{API}/hello"]
    assert "authorization" not in seen[0].headers
    assert not any("fh-secret" in str(request.url) for request in seen)


async def test_nobody_at_the_address_is_named() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    client = HttpClient(f"http://127.0.0.1:{port}", "fh-x")
    with pytest.raises(AppError) as gone:
        await client.state()
    await client.close()
    assert gone.value.code == "server_unreachable"
    assert gone.value.retryable
    assert gone.value.hint


def test_every_route_needs_the_key_but_hello(server: LiveServer) -> None:
    for path in ("/state", "/events", "/chats", "/search", "/settings", "/key", "/messages/x"):
        assert httpx.get(server.url + API + path).status_code == 401, path


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/models/import"),
        ("POST", "/models/remove"),
        ("POST", "/models/load"),
        ("POST", "/models/unload"),
        ("GET", "/key"),
        ("PUT", "/settings"),
        ("POST", "/shutdown"),
    ],
)
def test_what_only_this_machine_may_do(
    http: httpx.Client, monkeypatch: pytest.MonkeyPatch, method: str, path: str
) -> None:
    monkeypatch.setattr(native_json, "is_loopback", lambda _host: False)
    response = http.request(method, path, json={} if method != "GET" else None)
    assert (response.status_code, error_of(response)["code"]) == (403, "forbidden")


# --- bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"{", "JSON"),
        (b"[]", "object"),
        (b'{"text": 1, "token": "t"}', "text"),
        (b'{"text": "x"}', "token"),
        (b'{"text": "\\ud83d", "token": "t"}', ""),
        (b'{"text": "\xff", "token": "t"}', ""),
        (b'{"text": "  ", "token": "t"}', "empty"),
        (b'{"text": "x", "token": ""}', "token"),
        (b'{"text": "x", "token": "t", "parent_id": 5}', "parent_id"),
        (b'{"text": "x", "token": "' + b"t" * 300 + b'"}', "token"),
        (b"[" * 50_000 + b"]" * 50_000, "deep"),
    ],
)
def test_a_bad_body_is_refused_with_the_reason(http: httpx.Client, body: bytes, word: str) -> None:
    chat = make_chat(http)
    response = http.post(
        f"/chats/{chat.id}/messages", content=body, headers={"content-type": "application/json"}
    )
    assert response.status_code == 400, response.text
    error = error_of(response)
    assert error["code"] == "invalid_request"
    assert word in error["message"]
    assert http.get(f"/chats/{chat.id}").json()["total"] == 0


def test_a_body_over_10_mb_is_refused(http: httpx.Client) -> None:
    chat = make_chat(http)
    body = {"text": "x" * 10_500_000, "token": "t"}
    response = http.post(f"/chats/{chat.id}/messages", json=body)
    assert (response.status_code, error_of(response)["code"]) == (413, "payload_too_large")


def test_a_text_over_the_limit_is_refused_with_the_numbers(http: httpx.Client) -> None:
    chat = make_chat(http)
    response = http.post(f"/chats/{chat.id}/messages", json={"text": "x" * 4_000_001, "token": "t"})
    assert response.status_code == 413
    assert error_of(response)["detail"]["limit"] == 4_000_000


def test_nul_and_every_other_character_survive(http: httpx.Client) -> None:
    chat = make_chat(http)
    text = "a\0b\u202e👋\u2028\x7f\x1b[31m " + "é" * 10
    sent = msgspec.json.decode(
        http.post(f"/chats/{chat.id}/messages", json={"text": text, "token": chat.id}).content,
        type=Sent,
    )
    assert sent.user_message is not None
    assert sent.user_message.content == text
    assert http.put(f"/chats/{chat.id}/draft", json={"text": text}).status_code == 204
    assert http.get(f"/chats/{chat.id}").json()["draft"] == text


@pytest.mark.parametrize(
    "query",
    ["limit=x", "limit=-1", "limit=99999999999999999999", "limit=1.5", "before=none", "limit=٣"],
)
def test_bad_numbers_in_a_query_are_refused(http: httpx.Client, query: str) -> None:
    chat = make_chat(http)
    response = http.get(f"/chats/{chat.id}?{query}")
    assert response.status_code in (400, 404)
    assert error_of(response)["message"]


def test_unknown_paths_and_methods_answer_in_the_apis_own_shape(http: httpx.Client) -> None:
    assert error_of(http.get("/nothing"))["code"] == "not_found"
    assert error_of(http.delete("/state"))["message"]
    assert error_of(http.get("/chats/none"))["code"] == "not_found"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    ["text", "token", "parent_id", "title", "sampling", "pinned", "model_ref", "ref", "path",
     "system_prompt", "request", "delete_files", "temperature", "port", "theme"]
)  # fmt: skip
ROUTES = st.sampled_from(
    [
        ("POST", "/chats"),
        ("PATCH", "/chats/{chat}"),
        ("PUT", "/chats/{chat}/draft"),
        ("POST", "/chats/{chat}/messages"),
        ("POST", "/messages/{chat}/edit"),
        ("POST", "/models/load"),
        ("POST", "/models/unload"),
        ("POST", "/models/remove"),
        ("PUT", "/settings"),
        ("GET", "/search?q={text}"),
        ("GET", "/chats/{text}?before={text}"),
        ("GET", "/messages/{text}"),
    ]
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    route=ROUTES, body=JSON | st.dictionaries(FIELDS, JSON, max_size=6), text=st.text(max_size=30)
)
def test_no_json_makes_the_server_fail(
    http: httpx.Client, route: tuple[str, str], body: Any, text: str
) -> None:
    method, path = route
    chat = make_chat(http)
    url = path.format(chat=chat.id, text=httpx.URL("", params={"t": text}).query.decode()[2:])
    content = None if method == "GET" else json.dumps(body).encode()
    response = http.request(
        method, url, content=content, headers={"content-type": "application/json"}
    )
    assert response.status_code < 500, (response.status_code, response.text)
    if response.status_code >= 400:
        assert error_of(response)["code"]


# --- the event stream ------------------------------------------------------------------------


def read_events(http: httpx.Client, after: int, count: int) -> list[Envelope]:
    parser, events = SseParser(), []
    with http.stream("GET", "/events", params={"after": after}) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        for chunk in response.iter_raw():
            events += [msgspec.json.decode(e.data, type=Envelope) for e in parser.feed(chunk)]
            if len(events) >= count:
                break
    return events


def test_events_go_on_from_the_snapshot(http: httpx.Client) -> None:
    before = msgspec.json.decode(http.get("/state").content, type=State)
    chat = make_chat(http)
    events = read_events(http, before.seq, 2)
    assert [e.seq for e in events] == [before.seq + 1, before.seq + 2]
    assert chat.id in json.dumps(msgspec.to_builtins(events))


def test_a_place_of_another_server_asks_to_read_again(http: httpx.Client) -> None:
    # Of one that ended earlier, and of one whose clock was ahead.
    for place in (0, 5, time.time_ns() // 1_000_000 - 60_000, 10**15):
        (event,) = read_events(http, place, 1)
        assert isinstance(event.event, Resync)


def test_a_reader_that_left_is_forgotten(http: httpx.Client, server: LiveServer) -> None:
    read_events(http, 0, 1)
    for _ in range(200):
        if server.house.bus.readers == 0:
            return
        make_chat(http)
    assert server.house.bus.readers == 0


def test_state_says_where_the_server_is(http: httpx.Client, server: LiveServer) -> None:
    state = msgspec.json.decode(http.get("/state").content, type=State)
    assert (state.server.port, state.server.base_url) == (server.port, server.url)
    assert state.server.data_bytes_free > 0
    assert [model.ref for model in state.models] == ["tiny"]


def test_a_new_chat_gets_the_default_system_prompt(tmp_path: Path) -> None:
    with live_server(lambda: fake_house(tmp_path, FakeModels())) as running:
        headers = {"authorization": f"Bearer {running.key}"}
        with httpx.Client(base_url=running.url + API, headers=headers) as http:
            wanted = {**http.get("/settings").json(), "default_system_prompt": "Be kind."}
            assert http.put("/settings", json=wanted).status_code == 200
            assert make_chat(http).system_prompt == "Be kind."


# --- what went wrong at the start -------------------------------------------------------------


@pytest.mark.allow_logs("damaged", "not a sound database")
def test_a_damaged_database_is_set_aside_and_the_first_window_is_told(tmp_path: Path) -> None:
    with live_server(lambda: fake_house(tmp_path, FakeModels())) as running:
        database = running.house.paths.database
    database.write_bytes(b"dust" * 10_000)
    with live_server(lambda: fake_house(tmp_path, FakeModels())) as running:
        headers = {"authorization": f"Bearer {running.key}"}
        with httpx.Client(base_url=running.url + API, headers=headers) as http:
            assert http.get("/chats").json() == []
            state = msgspec.json.decode(http.get("/state").content, type=State)
            (event,) = read_events(http, state.seq, 1)
    assert isinstance(event.event, Notice)
    assert "damaged" in event.event.error.message
    assert event.event.error.hint


def test_a_database_of_a_newer_version_is_refused_and_not_touched(tmp_path: Path) -> None:
    with live_server(lambda: fake_house(tmp_path, FakeModels())) as running:
        path = running.house.paths.database
    connection = apsw.Connection(str(path))
    connection.execute(
        "INSERT INTO migration (feature, number, name, applied_at, app_version)"
        " VALUES ('chats', 99, 'm099_future', 9e9, '7.0.0')"
    )
    connection.close()
    before = path.read_bytes()
    with pytest.raises(AppError) as refused:
        fake_house(tmp_path, FakeModels())
    assert refused.value.code == "storage_too_new"
    assert "7.0.0" in refused.value.message
    assert path.read_bytes() == before
