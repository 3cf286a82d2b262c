"""The library over HTTP with real files: importing, listing, removing, and every refusal."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from doubles.models import tiny_llama, tiny_model
from doubles.server import FakeModels, LiveServer, fake_paths, live_server
from freehold.library.model_maker.recipe import Recipe, write_model
from freehold.server.wiring import build_house


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    paths = fake_paths(tmp_path / "freehold")
    with live_server(lambda: build_house(paths, make_engine=FakeModels())) as running:
        yield running


class Caller:
    """Asks the native API."""

    def __init__(self, server: LiveServer) -> None:
        self._server = server

    def get(self, path: str) -> Any:
        return self._answer("GET", path, None)

    def post(self, path: str, body: object) -> Any:
        return self._answer("POST", path, body)

    def _answer(self, method: str, path: str, body: object) -> Any:
        return httpx.request(
            method,
            self._server.url + path,
            json=body,
            headers={"authorization": f"Bearer {self._server.key}"},
            timeout=20,
        ).json()


@pytest.fixture
def caller(server: LiveServer) -> Caller:
    return Caller(server)


def test_import_list_remove(caller: Caller, tmp_path: Path) -> None:
    path = tmp_path / "Tiny-Q4_0.gguf"
    shutil.copyfile(tiny_model(), path)
    entry = caller.post("/freehold/v1/models/import", {"path": str(path)})
    assert entry["ref"] == "Tiny:Q4_0"
    assert caller.get("/freehold/v1/models") == [entry]
    assert [model["id"] for model in caller.get("/v1/models")["data"]] == ["Tiny:Q4_0"]
    path.unlink()
    (gone,) = caller.get("/freehold/v1/models")
    assert not gone["ready"]
    assert gone["problem"]["code"] == "not_found"
    assert caller.get("/v1/models")["data"] == []
    answer = caller.post(
        "/v1/chat/completions",
        {"model": "Tiny:Q4_0", "messages": [{"role": "user", "content": "hello"}]},
    )
    assert str(path) in answer["error"]["message"]
    freed = caller.post("/freehold/v1/models/remove", {"ref": "Tiny:Q4_0", "delete_files": True})
    assert freed == {"freed_bytes": 0}
    assert caller.get("/freehold/v1/models") == []


def _not_gguf(path: Path) -> None:
    path.write_bytes(b"PK\x03\x04 something else")


def _truncated(path: Path) -> None:
    path.write_bytes(tiny_llama().read_bytes()[:300_000])


def _folder(path: Path) -> None:
    path.mkdir()


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _unknown(path: Path) -> None:
    write_model(path, Recipe(kind="llama", arch="brainwave"))


def _missing(path: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("make", "code", "words"),
    [
        (_not_gguf, "invalid_model", "not a GGUF file"),
        (_truncated, "invalid_model", "incomplete"),
        (_folder, "invalid_model", "a folder"),
        (_fifo, "invalid_model", "a named pipe"),
        (_unknown, "unsupported_architecture", "brainwave"),
        (_missing, "not_found", "no file"),
    ],
)
def test_bad_files_are_refused_in_a_sentence(
    caller: Caller, tmp_path: Path, make: Any, code: str, words: str
) -> None:
    path = tmp_path / "bad.gguf"
    make(path)
    error = caller.post("/freehold/v1/models/import", {"path": str(path)})["error"]
    assert error["code"] == code
    assert words in error["message"]
    assert error["hint"]
    assert caller.get("/freehold/v1/models") == []
