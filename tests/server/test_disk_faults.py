"""The whole server when its disk or another program is against it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import httpx
import pytest

from doubles.server import FakeModels, LiveServer, fake_house, live_server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    with live_server(lambda: fake_house(tmp_path, FakeModels())) as running:
        yield running


@pytest.fixture
def http(server: LiveServer) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {server.key}"}
    with httpx.Client(base_url=f"{server.url}/freehold/v1", headers=headers, timeout=30) as client:
        yield client


def limit_pages(server: LiveServer, pages: int) -> None:
    """Let SQLite believe that the disk ends here."""
    database = server.house.database
    database._writer.submit(
        lambda: database._connection.execute(f"PRAGMA max_page_count = {pages}").fetchone()
    ).result()


def ask(http: httpx.Client, chat: str, text: str, token: str) -> httpx.Response:
    return http.post(f"/chats/{chat}/messages", json={"text": text, "token": token})


def wait_idle(server: LiveServer) -> None:
    deadline = time.monotonic() + 10
    while server.house.turns.running:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_full_disk_refuses_new_words_clearly_and_shows_the_old_ones(
    server: LiveServer, http: httpx.Client
) -> None:
    chat = http.post("/chats", json={"model_ref": "tiny"}).json()["id"]
    assert ask(http, chat, "before", "t1").status_code == 200
    wait_idle(server)
    limit_pages(server, 1)
    refused = ask(http, chat, "x" * 500_000, "t2")
    assert refused.status_code == 507
    error: dict[str, Any] = refused.json()["error"]
    assert (error["code"], error["retryable"]) == ("disk_full", True)
    assert error["hint"]
    shown = http.get(f"/chats/{chat}").json()
    assert [m["content"] for m in shown["messages"]] == ["before", "before "]
    assert http.get("/search", params={"q": "before"}).json()
    limit_pages(server, 1_000_000)
    # The same words with the same token, once there is room.
    assert ask(http, chat, "x" * 500_000, "t2").status_code == 200


def test_while_another_program_holds_the_file_reading_goes_on_and_writes_land_later(
    server: LiveServer, http: httpx.Client
) -> None:
    chat = http.post("/chats", json={"model_ref": "tiny"}).json()["id"]
    other = apsw.Connection(str(server.house.paths.database))
    other.execute("BEGIN IMMEDIATE")
    answers: list[httpx.Response] = []
    sending = threading.Thread(target=lambda: answers.append(ask(http, chat, "words", "t1")))
    sending.start()
    slowest_s = 0.0
    until_s = time.monotonic() + 1.5
    while time.monotonic() < until_s:
        begun = time.monotonic()
        assert http.get(f"/chats/{chat}").json()["total"] == 0
        assert http.get("/state").status_code == 200
        slowest_s = max(slowest_s, time.monotonic() - begun)
    assert not answers
    assert slowest_s < 1
    other.execute("ROLLBACK")
    other.close()
    sending.join(20)
    assert [answer.status_code for answer in answers] == [200]
    assert http.get(f"/chats/{chat}").json()["total"] == 2
