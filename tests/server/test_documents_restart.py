"""Documents whose reading was broken off by the end of the server: read again, or said."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from doubles.document_files import ENGLISH, make_pdf, put
from doubles.document_world import World, http_world
from doubles.server import fake_paths
from freehold.client.documents import until_read
from freehold.documents import records
from freehold.errors import AppError
from freehold.server.wiring import SCHEMAS
from freehold.storage.connection import Database

WHOLE, GONE = "a" * 24, "b" * 24


def broken_off(house: Path) -> None:
    """Leave what a killed server leaves: one file copied but not read, one not even copied."""
    paths = fake_paths(house)
    paths.create()
    copies = paths.data / "documents"
    copies.mkdir()
    put(copies, WHOLE, ENGLISH.encode())
    put(copies, f"{GONE}.part", b"half of a fi")
    put(copies, "c" * 24, b"of no document")
    database = Database.open(paths, SCHEMAS)
    for document_id, name in ((WHOLE, "lease.txt"), (GONE, "gone.pdf")):
        database.write_now(partial(records.begin, document_id=document_id, name=name))
    database.close()


async def test_what_was_broken_off_is_read_again_or_said(tmp_path: Path) -> None:
    broken_off(tmp_path / "house")
    async with http_world(tmp_path / "house") as world:
        info = await until_read(world.client, WHOLE, lambda _info: None)
        assert (info.name, info.phase) == ("lease.txt", "ready")
        assert (await world.client.text(WHOLE)).text.strip() == ENGLISH
        gone = await world.client.get(GONE)
        assert gone.error is not None
        assert gone.error.code == "interrupted"
        assert "gone.pdf" in gone.error.message
        assert list((tmp_path / "house" / "data" / "documents").iterdir()) == []


async def recognising(world: World, tmp_path: Path) -> str:
    assert world.server is not None
    document_id = await world.read(put(tmp_path, "scan.pdf", make_pdf([[]])))
    begin = partial(records.begin_again, document_id=document_id)
    world.server.house.database.write_now(begin)
    return document_id


async def test_a_scan_that_was_being_recognised_is_as_before(tmp_path: Path) -> None:
    async with http_world(tmp_path / "house") as world:
        document_id = await recognising(world, tmp_path)
    async with http_world(tmp_path / "house") as world:
        info = await world.client.get(document_id)
        assert (info.phase, info.scan_pages, info.has_pages) == ("ready", 1, True)
        folder = tmp_path / "papers"
        folder.mkdir()
        (folder / "scan.pdf").write_bytes(make_pdf([[]]))
        made = await world.client.create_collection("Scans", [str(folder)])
        ready = await world.until_phase(made.id, "ready")
        assert "1 file is only pictures" in ready.notes[0]
        (file,) = await world.client.collection_files(made.id)
        with pytest.raises(AppError) as error:
            await world.client.remove(file.document_id)
        assert error.value.code == "conflict"
        png = await world.client.page_image(file.document_id, 1)
        assert png.startswith(b"\x89PNG")
        (folder / "scan.pdf").write_bytes(make_pdf([["Now it has words."]]))
        with pytest.raises(AppError) as error:
            await world.client.page_image(file.document_id, 1)
        assert "changed or moved" in error.value.message
