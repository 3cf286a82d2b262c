"""Every route behind the gate: Host (T3), keys (T4, T22), CSRF (T24), and the bounds of bodies."""

from __future__ import annotations

import contextlib
import json
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi.routing import APIRoute
from starlette.routing import Route

from doubles.rawhttp import exchange
from doubles.server import FakeModels, LiveServer, fake_house, live_server
from freehold.errors import AppError
from freehold.secrets import LocalKey, ensure_key
from freehold.server.app import create_routes
from freehold.server.gate import PUBLIC
from freehold.server.key_check import BadKeys, KeyCheck
from freehold.server.ports import check_exposure

KEYED_PREFIXES = ("/v1/", "/freehold/v1/", "/metrics")
KNOWN_PUBLIC = {("GET", "/health"), ("HEAD", "/health"), ("GET", "/freehold/v1/hello")}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("house")
    with live_server(lambda: fake_house(folder, FakeModels())) as running:
        yield running


pytestmark = pytest.mark.allow_leaks("the server of this module")


def routes_of(server: LiveServer) -> list[tuple[str, str]]:
    """Return (method, a path that matches) of every route there is."""
    found = []
    for route in flatten(create_routes(server.house).routes):
        path = "/".join("x" if part.startswith("{") else part for part in route.path.split("/"))
        found.extend((method, path) for method in sorted(route.methods or ()))
    return found


def flatten(routes: object) -> list[Route]:
    found: list[Route] = []
    for route in routes:  # type: ignore[attr-defined]
        if isinstance(route, Route | APIRoute):
            found.append(route)  # type: ignore[arg-type]
        else:
            contexts = getattr(route, "effective_route_contexts", None)
            assert contexts is not None, f"unknown kind of route {route!r}"
            found.extend(contexts())
    return found


def test_the_route_table_is_seen_whole(server: LiveServer) -> None:
    table = set(routes_of(server))
    assert ("POST", "/v1/chat/completions") in table
    assert ("GET", "/freehold/v1/state") in table
    assert ("POST", "/freehold/v1/models/load") in table
    assert len(table) > 25


def test_every_route_says_who_may_call_it(server: LiveServer) -> None:
    assert PUBLIC == KNOWN_PUBLIC
    for method, path in routes_of(server):
        assert (method, path) in PUBLIC or path.startswith(KEYED_PREFIXES), (method, path)


def test_no_route_but_the_public_ones_answers_without_the_key(server: LiveServer) -> None:
    with httpx.Client(base_url=server.url) as client:
        for method, path in routes_of(server):
            if (method, path) in PUBLIC:
                continue
            assert client.request(method, path).status_code == 401, (method, path)


@pytest.mark.parametrize(
    "host",
    [
        "Host: evil.com",
        "Host: localhost.evil.com:{port}",
        "Host: 127.0.0.1.nip.io:{port}",
        "Host:",
        "Host: 127.0.0.1:1",
        "Host: 127.0.0.1",
        "Host: 0.0.0.0:{port}",
        "Host: 127.0.0.1:{port}\r\nHost: 127.0.0.1:{port}",
        "Host: 127.0.0.1:{port}\r\nHost: evil.com",
        "Host: user@127.0.0.1:{port}",
        "X-No-Host: 1",
    ],
)
def test_a_foreign_host_reaches_no_route(server: LiveServer, host: str) -> None:
    line = host.format(port=server.port)
    for method, path in routes_of(server):
        answer = exchange(
            server.port,
            f"{method} {path} HTTP/1.1\r\n{line}\r\nAuthorization: Bearer {server.key}\r\n"
            "Connection: close\r\n\r\n",
        )
        assert answer.startswith(b"HTTP/1.1 421"), (method, path, answer[:200])


def test_an_absolute_target_reaches_no_route(server: LiveServer) -> None:
    for target in ("http://evil.com/health", f"http://127.0.0.1:{server.port}/health"):
        answer = exchange(
            server.port,
            f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nConnection: close\r\n\r\n",
        )
        assert answer.startswith(b"HTTP/1.1 421"), answer[:200]


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_the_names_of_this_machine_are_answered(server: LiveServer, name: str) -> None:
    answer = exchange(
        server.port,
        f"GET /health HTTP/1.1\r\nHost: {name}:{server.port}\r\nConnection: close\r\n\r\n",
    )
    assert answer.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("origin", ["http://evil.com", "null", "", "https://127.0.0.1:{port}"])
def test_a_web_page_reaches_no_route_even_with_the_key(server: LiveServer, origin: str) -> None:
    headers = {
        "origin": origin.format(port=server.port),
        "authorization": f"Bearer {server.key}",
    }
    with httpx.Client(base_url=server.url, headers=headers) as client:
        for method, path in routes_of(server):
            answer = client.request(method, path)
            assert answer.status_code == 403, (method, path)
            assert not [h for h in answer.headers if h.startswith("access-control")]


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_bodies_a_page_can_send_unasked_are_refused(server: LiveServer, content_type: str) -> None:
    headers = {"authorization": f"Bearer {server.key}"}
    if content_type:
        headers["content-type"] = content_type
    with httpx.Client(base_url=server.url, headers=headers) as client:
        for method, path in routes_of(server):
            if method in ("POST", "PUT", "PATCH", "DELETE"):
                answer = client.request(method, path, content=b'{"a":1}')
                assert answer.status_code == 415, (method, path)


def test_every_form_of_a_key_gets_the_same_decision(server: LiveServer) -> None:
    good, bad = server.key, "fh-" + "0" * 64
    cases = [
        ({"authorization": f"Bearer {good}"}, 200),
        ({"authorization": f"bearer {good}"}, 200),
        ({"x-api-key": good}, 200),
        ({"authorization": f"Bearer {good}", "x-api-key": good}, 200),
        ({"authorization": f"Bearer {good}", "x-api-key": bad}, 401),
        ({"authorization": f"Bearer {bad}", "x-api-key": good}, 401),
        ({"x-api-key": bad}, 401),
        ({"authorization": f"Basic {good}"}, 401),
        ({"authorization": "Bearer"}, 401),
        ({"cookie": f"key={good}; api_key={good}"}, 401),
    ]
    with httpx.Client(base_url=server.url) as client:
        for headers, status in cases:
            assert client.get("/v1/models", headers=headers).status_code == status, headers
        assert client.get(f"/v1/models?key={good}&api_key={good}").status_code == 401


def test_ten_wrong_keys_a_minute_and_then_no_more() -> None:
    now = [0.0]
    check = KeyCheck(LocalKey("fh-right"), BadKeys(lambda: now[0]))

    def outcome(key: str, address: str) -> str:
        try:
            check.check([(b"x-api-key", key.encode())], address)
        except AppError as error:
            return error.code
        return "ok"

    for _ in range(10):
        assert outcome("wrong", "10.0.0.9") == "unauthorized"
        assert outcome("wrong", "127.0.0.1") == "unauthorized"
    assert outcome("wrong", "10.0.0.9") == "rate_limited"
    assert outcome("fh-right", "10.0.0.9") == "rate_limited"  # a guesser learns nothing more
    assert outcome("fh-right", "10.0.0.8") == "ok"
    assert outcome("wrong", "127.0.0.1") == "rate_limited"
    assert outcome("fh-right", "127.0.0.1") == "ok"  # nobody can lock the window out
    now[0] = 61
    assert outcome("fh-right", "10.0.0.9") == "ok"


def post(server: LiveServer, content: object, **headers: str) -> httpx.Response:
    return httpx.post(
        f"{server.url}/v1/chat/completions",
        content=content,  # type: ignore[arg-type]
        headers={
            "authorization": f"Bearer {server.key}",
            "content-type": "application/json",
            **headers,
        },
        timeout=20,
    )


def test_bodies_are_bounded_announced_or_not(server: LiveServer) -> None:
    assert post(server, b" " * 10_000_001).status_code == 413

    def endless() -> Iterator[bytes]:
        for _ in range(12):
            yield b" " * 1_000_000

    with contextlib.suppress(httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
        # or closed while the client was still sending
        assert post(server, endless()).status_code == 413
    assert httpx.get(f"{server.url}/health").status_code == 200


def test_depth_messages_and_tools_are_bounded(server: LiveServer) -> None:
    deep: object = 1
    for _ in range(70):
        deep = [deep]
    message = {"role": "user", "content": "x"}
    tool = {"type": "function", "function": {"name": "f"}}
    bodies: list[dict[str, object]] = [
        {"messages": [message], "x": deep},
        {"messages": [message] * 2001},
        {"messages": [message], "tools": [tool] * 129},
    ]
    for body in bodies:
        answer = post(server, json.dumps({"model": "tiny", **body}))
        assert answer.status_code == 400
    assert post(server, b"[" * 200_000).status_code == 400
    fine = {"model": "tiny", "messages": [{"role": "user", "content": "[[[{" * 100}]}
    assert post(server, json.dumps(fine)).status_code == 200


def test_a_compressed_body_is_refused(server: LiveServer) -> None:
    answer = post(server, b"\x1f\x8b", **{"content-encoding": "gzip"})
    assert answer.status_code == 415


def test_headers_are_bounded(server: LiveServer) -> None:
    with httpx.Client(base_url=server.url) as client:
        many = {f"x-{i}": "1" for i in range(101)}
        assert client.get("/health", headers=many).status_code == 431
        assert client.get("/health", headers={"x-long": "a" * 40_000}).status_code == 431
        assert client.get("/health").status_code == 200


def test_binding_to_other_machines_needs_a_strong_key() -> None:
    for host in (
        "0.0.0.0",  # noqa: S104
        "::",
        "192.168.1.5",
        "example.org",
        "127.x.evil.com",
        "",
    ):
        for key in (None, LocalKey("short")):
            with pytest.raises(AppError, match="key of at least"):
                check_exposure(host, key)
        check_exposure(host, LocalKey("k" * 16))
    for host in ("127.0.0.1", "localhost", "::1", "127.8.9.1"):
        check_exposure(host, None)


def test_the_key_is_long_random_and_private(tmp_path: Path) -> None:
    file = tmp_path / "key"
    key = ensure_key(file, {})
    assert len(key.value) == 3 + 64
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert ensure_key(file, {}).value == key.value
    assert key.value not in repr(key)
    assert ensure_key(tmp_path / "other", {}).value != key.value
    file.chmod(0o644)
    ensure_key(file, {})
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert ensure_key(file, {"FREEHOLD_KEY": "preset"}).value == "preset"
    assert ensure_key(tmp_path / "third", {"FREEHOLD_KEY": "  "}).value.startswith("fh-")


def test_files_and_folders_are_the_users_alone(server: LiveServer) -> None:
    paths = server.house.paths
    for folder in (paths.data, paths.state, paths.config, paths.cache):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        for file in folder.rglob("*"):
            if file.is_file():
                assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, file


def test_answers_say_nothing_about_the_server(server: LiveServer) -> None:
    answer = httpx.get(f"{server.url}/health")
    assert answer.json() == {"status": "ok"}
    assert "server" not in answer.headers
    assert answer.headers["x-content-type-options"] == "nosniff"
    missing = httpx.get(f"{server.url}/nothing", headers={"x-api-key": server.key})
    assert missing.status_code == 404
    assert missing.json()["error"]["code"] == "not_found"
    wrong = httpx.delete(f"{server.url}/v1/models", headers={"x-api-key": server.key})
    assert wrong.status_code == 405


def test_docs_and_schema_are_not_served(server: LiveServer) -> None:
    for path in ("/docs", "/redoc", "/openapi.json"):
        answer = httpx.get(server.url + path, headers={"x-api-key": server.key})
        assert answer.status_code == 404
