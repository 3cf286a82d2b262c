"""`freehold docs collections` on the double: what it does and prints."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import msgspec
import pytest

from doubles.client import FakeClient
from freehold.commands import docs_collections
from freehold.errors import AppError


async def run(client: FakeClient, *words: str) -> int:
    parser = argparse.ArgumentParser()
    docs_collections.add_arguments(parser)
    return await docs_collections._act(parser.parse_args(list(words)), client.documents)


async def test_a_life_of_a_collection(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    client = FakeClient()
    (tmp_path / "a.txt").write_text("words")
    assert await run(client, "list") == 0
    assert "Make one" in capsys.readouterr().out
    assert await run(client, "create", "Law", str(tmp_path), "--wait") == 0
    assert "Law: ready (1 file, 1 passage, 1 with vectors)" in capsys.readouterr().out
    assert await run(client, "pause", "law") == 0
    assert "paused" in capsys.readouterr().out
    assert await run(client, "resume", "law", "--wait", "--json") == 0
    (shown,) = json.loads(capsys.readouterr().out)
    assert (shown["name"], shown["phase"]) == ("Law", "ready")
    assert await run(client, "show", shown["id"]) == 0
    assert str(tmp_path / "a.txt") in capsys.readouterr().out
    broken = msgspec.structs.replace(
        await client.documents.collection(shown["id"]),
        phase="error",
        stale="Rebuild it.",
        notes=("One file is left out.",),
    )
    client.documents.put(broken)
    assert await run(client) == 0
    said = capsys.readouterr().out
    assert "Rebuild it." in said
    assert "One file is left out." in said
    assert await run(client, "rebuild", "law", "--json") == 0
    assert json.loads(capsys.readouterr().out)[0]["phase"] == "ready"
    assert await run(client, "remove", "law") == 0
    assert capsys.readouterr().out == "Deleted Law.\n"
    await client.close()


async def test_names_that_mean_none_or_two(tmp_path: Path) -> None:
    client = FakeClient()
    for _ in range(2):
        await client.documents.create_collection("Same", [str(tmp_path)])
    for name, code in (("None", "not_found"), ("same", "invalid_request")):
        with pytest.raises(AppError) as error:
            await run(client, "show", name)
        assert error.value.code == code
        assert error.value.hint
    await client.close()
