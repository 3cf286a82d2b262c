"""Requests no client would send: broken bytes, broken JSON, slow and silent peers (T14, T24)."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from doubles.rawhttp import exchange, read_all
from doubles.server import FakeModels, LiveServer, fake_house, live_server
from freehold.server import body as body_module
from freehold.server.body import is_too_deep
from freehold.server.http_protocol import BoundedProtocol

pytestmark = pytest.mark.allow_leaks("the server of this module")

CHAT = "/v1/chat/completions"
BOUNDED = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("house")
    with live_server(lambda: fake_house(folder, FakeModels())) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: LiveServer) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {server.key}", "content-type": "application/json"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=20) as made:
        yield made


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4)
    ),
    max_leaves=12,
)
FIELDS = [
    "messages", "model", "prompt", "input", "stream", "stream_options", "n", "stop", "seed",
    "temperature", "top_p", "top_k", "logit_bias", "tools", "tool_choice", "response_format",
    "max_tokens", "logprobs", "top_logprobs", "grammar", "json_schema", "echo", "suffix",
    "best_of", "dimensions", "encoding_format", "chat_template_kwargs", "reasoning_effort",
]  # fmt: skip


@BOUNDED
@given(
    route=st.sampled_from([CHAT, "/v1/completions", "/v1/embeddings"]),
    fields=st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=6),
)
def test_any_json_is_answered_without_our_fault(
    client: httpx.Client, route: str, fields: dict[str, Any]
) -> None:
    answer = client.post(route, content=json.dumps({"model": "tiny", **fields}))
    assert answer.status_code < 500, answer.text


@BOUNDED
@given(data=st.binary(max_size=300))
def test_any_bytes_as_body_are_answered_without_our_fault(
    client: httpx.Client, data: bytes
) -> None:
    answer = client.post(CHAT, content=data)
    assert 400 <= answer.status_code < 500


@BOUNDED
@given(data=st.binary(min_size=1, max_size=200))
def test_any_bytes_on_the_line_leave_the_server_well(server: LiveServer, data: bytes) -> None:
    answer = exchange(server.port, data + b"\r\n\r\n\x00\x00\r\n\r\n")
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer[:100]
    assert httpx.get(f"{server.url}/health").status_code == 200


@pytest.mark.parametrize(
    "head",
    [
        "POST /v1/chat/completions HTTP/1.1\r\nContent-Length: -5\r\n",
        "POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n",
        "POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n",
        "POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "GET /health HTTP/9.9\r\n",
        "GET //health HTTP/1.1\r\n",
        "GET /%00%ff HTTP/1.1\r\n",
        "GET /v1/models/../../etc/passwd HTTP/1.1\r\n",
        "CONNECT evil.com:443 HTTP/1.1\r\n",
        "OPTIONS * HTTP/1.1\r\n",
        "PRI * HTTP/2.0\r\n",
        "GET /\xff HTTP/1.1\r\n",
        "GET /health HTTP/1.1\r\nBad Header: x\r\n",
        "GET /health HTTP/1.1\r\nX: a\x00b\r\n",
    ],
)
def test_malformed_heads_are_refused(server: LiveServer, head: str) -> None:
    request = (
        f"{head}Host: 127.0.0.1:{server.port}\r\nX-Api-Key: {server.key}\r\n"
        "Content-Type: application/json\r\nConnection: close\r\n\r\nhello"
    )
    answer = exchange(server.port, request.encode("latin-1"))
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer[:200]


@pytest.mark.parametrize("sent", [b"", b"GET /health HT", b"GET /health HTTP/1.1\r\nX: 1\r\n"])
def test_a_head_that_does_not_come_is_given_up(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(BoundedProtocol, "head_limit_s", 0.2)
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(sent)
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 408")
    assert time.monotonic() - began < 5


def test_a_head_that_drips_is_given_up_too(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoundedProtocol, "head_limit_s", 0.3)
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\n")
        connection.settimeout(0.02)
        answer = b""
        for _ in range(200):  # each byte comes in time, the whole does not
            try:
                connection.sendall(b"X")
                answer += connection.recv(4096)
            except TimeoutError:
                continue
            except ConnectionError:
                break
            if answer:
                break
    assert answer.startswith(b"HTTP/1.1 408")


def test_a_body_that_does_not_come_is_given_up(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body_module, "BODY_LIMIT_S", 0.2)
    answer = exchange(
        server.port,
        f"POST {CHAT} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nX-Api-Key: {server.key}\r\n"
        'Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"messages"',
    )
    assert answer.startswith(b"HTTP/1.1 408")


def test_a_head_without_end_is_cut_off(server: LiveServer) -> None:
    answer = exchange(server.port, b"GET /health HTTP/1.1\r\nX: " + b"a" * 2_000_000)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4")


@given(depth=st.integers(1, 150), text=st.text(max_size=30))
def test_depth_is_counted_exactly(depth: int, text: str) -> None:
    value: Any = {"k": text + '"[{\\'}
    for level in range(depth - 1):
        value = [value] if level % 2 else {"[": value}
    document = json.dumps(value).encode()
    assert is_too_deep(document, 64) is (depth > 64)
    wide = json.dumps([value] * 20).encode()
    assert is_too_deep(wide, 64) is (depth + 1 > 64)
