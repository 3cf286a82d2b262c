"""Collections as a client meets them, over a real server and on the double; then what the real
one alone does: changed files only, restart, deletion without a trace."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from doubles.client import FakeClient
from doubles.document_files import ENGLISH
from doubles.document_world import World, http_world
from freehold.documents import indexing
from freehold.errors import AppError
from freehold.wire import Changed


@pytest.fixture(params=["http", "fake"])
async def either(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    if request.param == "http":
        async with http_world(tmp_path / "house") as world:
            yield world
    else:
        client = FakeClient()
        yield World(client, None)
        await client.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "papers"
    (folder / "inner").mkdir(parents=True)
    (folder / "lease.txt").write_text(ENGLISH)
    (folder / "inner" / "other.md").write_text("# Other\n\nNothing of interest.")
    return folder


async def code_of(call: object) -> str:
    with pytest.raises(AppError) as error:
        await call  # type: ignore[misc]
    assert error.value.hint
    return error.value.code


async def test_a_collection_is_made_followed_changed_and_deleted(
    either: World, folder: Path
) -> None:
    client = either.client
    seq = (await either.whole.state()).seq
    made = await client.create_collection("  Law  ", [str(folder)])
    assert (made.name, made.sources) == ("Law", (str(folder),))
    ready = await either.until_phase(made.id, "ready")
    assert (ready.files, ready.failed, ready.passages, ready.embedded) == (2, 0, 2, 2)
    assert {f.name for f in await client.collection_files(made.id)} == {"lease.txt", "other.md"}
    assert await client.all() == ()
    async for envelope in either.whole.events(seq):
        if isinstance(envelope.event, Changed) and envelope.event.topic == "collection":
            assert envelope.event.id == made.id
            break
    paused = await client.update_collection(made.id, name="Rent", paused=True)
    assert (paused.name, paused.phase) == ("Rent", "paused")
    await client.update_collection(made.id, paused=False)
    assert (await either.until_phase(made.id, "ready")).files == 2
    await client.rebuild_collection(made.id)
    again = await either.until_phase(made.id, "ready")
    assert (again.files, again.embedded) == (2, 2)
    assert [c.id for c in await client.collections()] == [made.id]
    await client.remove_collection(made.id)
    assert await client.collections() == ()
    assert await code_of(client.collection(made.id)) == "not_found"


async def test_a_collection_needs_a_name_and_full_paths(either: World, folder: Path) -> None:
    client = either.client
    assert await code_of(client.create_collection(" ", [str(folder)])) == "invalid_request"
    assert await code_of(client.create_collection("a", ["relative"])) == "invalid_request"
    assert await code_of(client.update_collection("none", name="b")) == "not_found"
    assert await code_of(client.rebuild_collection("none")) == "not_found"
    assert await code_of(client.collection_files("none")) == "not_found"
    await client.remove_collection("none")
    assert await client.collections() == ()


# --- the real one ----------------------------------------------------------------------------


async def look_again(world: World, collection_id: str) -> None:
    await world.client.update_collection(collection_id, paused=True)
    await world.client.update_collection(collection_id, paused=False)
    await world.until_phase(collection_id, "ready", "error")


async def test_only_changed_files_are_read_again(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    parse = indexing.parse_file

    def noting(path: Path, **more: object) -> object:
        read.append(path.name)
        return parse(path, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(indexing, "parse_file", noting)
    async with http_world(tmp_path / "house") as world:
        made = await world.client.create_collection("Law", [str(folder)])
        await world.until_phase(made.id, "ready")
        assert sorted(read) == ["lease.txt", "other.md"]
        read.clear()
        os.utime(folder / "lease.txt", (1, 1))  # touched: another time, the same content
        (folder / "inner" / "other.md").write_text("# Other\n\nNow there is zirconium.")
        (folder / "bad.pdf").write_bytes(b"%PDF-1.7 nonsense")
        (folder / "tool.exe").write_bytes(b"MZ")
        await look_again(world, made.id)
        assert sorted(read) == ["bad.pdf", "other.md"]
        files = {f.name: f for f in await world.client.collection_files(made.id)}
        assert files["bad.pdf"].error is not None
        assert "bad.pdf" in files["bad.pdf"].error.message
        now = await world.client.collection(made.id)
        assert (now.files, now.failed, now.embedded) == (3, 1, 2)
        assert "1 file of other kinds" in now.notes[0]
        (folder / "inner" / "other.md").unlink()
        await look_again(world, made.id)
        now = await world.client.collection(made.id)
        assert (now.files, now.passages) == (2, 1)


async def test_a_source_that_is_away_keeps_its_index(tmp_path: Path, folder: Path) -> None:
    async with http_world(tmp_path / "house") as world:
        made = await world.client.create_collection("Law", [str(folder)])
        await world.until_phase(made.id, "ready")
        folder.rename(tmp_path / "away")
        await look_again(world, made.id)
        now = await world.client.collection(made.id)
        assert now.phase == "error"
        assert now.error is not None
        assert str(folder) in now.error.message
        assert now.passages == 2
        (tmp_path / "away").rename(folder)
        await look_again(world, made.id)
        assert (await world.until_phase(made.id, "ready")).error is None


async def test_a_restart_goes_on_and_deleting_leaves_no_bytes(tmp_path: Path) -> None:
    folder = tmp_path / "papers"
    folder.mkdir()
    secret = "Zanzibarquartz"
    for number in range(5):
        (folder / f"{number}.txt").write_text(f"{secret} number {number}.\n\n" * 40)
    async with http_world(tmp_path / "house") as world:
        made = await world.client.create_collection("Minerals", [str(folder)])
        await world.until_phase(made.id, "reading")
    async with http_world(tmp_path / "house") as world:
        ready = await world.until_phase(made.id, "ready")
        assert (ready.files, ready.failed) == (5, 0)
        assert ready.embedded == ready.passages > 0
        house = tmp_path / "house"
        kept = b"".join(f.read_bytes() for f in house.rglob("freehold.db*"))
        assert secret.lower().encode() in kept.lower()
        await world.client.remove_collection(made.id)
        for file in house.rglob("*"):
            if file.is_file():
                assert secret.lower().encode() not in file.read_bytes().lower(), file
                assert b"anzibarquartz" not in file.read_bytes(), file
