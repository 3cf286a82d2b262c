"""Models that are here more than once."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from pathlib import Path

import pytest

from doubles.models import tiny_llama
from freehold.commands.models import show_duplicates
from freehold.library import duplicates
from freehold.library.duplicate_search import DuplicateSearch
from freehold.library.inspection import inspect, make_entry
from freehold.wire import AnyEvent, ModelEntry
from freehold.wire_files import Duplicates


class Shelf:
    """Files in a folder as entries of the library."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.models: list[ModelEntry] = []
        self.told: list[AnyEvent] = []
        self.hub: dict[str, dict[str, str]] = {}
        self.search = DuplicateSearch(
            self.entries, lambda ref: self.hub.get(ref, {}), self.told.append
        )

    async def entries(self) -> tuple[ModelEntry, ...]:
        return tuple(self.models)

    def add(self, name: str, *, flip: bool = False, origin: str = "imported") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tiny_llama(), path)
        if flip:
            with path.open("r+b") as file:
                file.seek(-1, os.SEEK_END)
                last = file.read(1)[0]
                file.seek(-1, os.SEEK_END)
                file.write(bytes([last ^ 1]))
        self.note(path, origin)
        return path

    def note(self, path: Path, origin: str = "imported") -> None:
        self.models.append(make_entry(inspect(path), ref=path.name, origin=origin, added_at=0))

    async def all(self) -> Duplicates:
        for _ in range(1000):
            found = await self.search.find()
            if not found.left_bytes:
                return found
            await asyncio.sleep(0.005)
        raise AssertionError("never done")


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


async def test_copies_are_found_by_what_is_in_them(shelf: Shelf) -> None:
    shelf.add("a.gguf")
    shelf.add("other/b.gguf")
    shelf.add("c.gguf", flip=True)
    found = await shelf.all()
    (group,) = found.groups
    size = tiny_llama().stat().st_size
    assert [copy.ref for copy in group.copies] == ["a.gguf", "b.gguf"]
    assert [copy.frees for copy in group.copies] == [size, size]
    assert shelf.told
    await shelf.search.close()


async def test_links_free_nothing(shelf: Shelf) -> None:
    path = shelf.add("a.gguf")
    link = shelf.folder / "hard.gguf"
    os.link(path, link)
    shelf.note(link)
    (group,) = (await shelf.all()).groups
    assert [copy.frees for copy in group.copies] == [0, 0]


async def test_known_checksums_are_not_read_again(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = hashlib.sha256(tiny_llama().read_bytes()).hexdigest()
    path = shelf.add("downloaded.gguf", origin="downloaded")
    shelf.hub["downloaded.gguf"] = {str(path): digest}
    shelf.add(f"blobs/sha256-{digest}", origin="Ollama")
    monkeypatch.setattr(duplicates, "read_sum", None)
    found = await shelf.search.find()
    assert found.left_bytes == 0
    assert len(found.groups) == 1


async def test_a_changed_file_is_read_anew(shelf: Shelf) -> None:
    shelf.add("a.gguf")
    second = shelf.add("b.gguf")
    assert len((await shelf.all()).groups) == 1
    with second.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\xff")
    os.utime(second, ns=(1, 1))
    assert (await shelf.all()).groups == ()


async def test_one_model_alone_is_never_read(shelf: Shelf) -> None:
    shelf.add("a.gguf")
    shelf.models.append(shelf.models[0])
    shelf.models[1:] = []
    assert await shelf.search.find() == Duplicates()


def test_the_command_prints_them(shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
    shelf.add("a.gguf")
    assert show_duplicates(tuple(shelf.models), as_json=False) == 0
    assert "No model is here more than once." in capsys.readouterr().out
    shelf.add("b.gguf")
    assert show_duplicates(tuple(shelf.models), as_json=False) == 0
    said = capsys.readouterr().out
    assert "2 times the same" in said
    assert said.count("deleting it frees") == 2
