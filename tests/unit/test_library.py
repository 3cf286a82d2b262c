"""The local library: import in place, names, files that change, what is refused and how."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from doubles.models import tiny_embedder, tiny_llama, tiny_model
from freehold.errors import AppError
from freehold.library.folders import Found, Root
from freehold.library.local import Library
from freehold.library.model_maker.recipe import Recipe, write_model
from freehold.library.schema import SCHEMA
from freehold.paths import user_paths
from freehold.storage.connection import Database
from freehold.wire import AnyEvent, Changed


@pytest.fixture
def events() -> list[AnyEvent]:
    return []


@pytest.fixture
def library(data_folder: Path, events: list[AnyEvent]) -> Iterator[Library]:
    paths = user_paths()
    paths.create()
    database = Database.open(paths, (SCHEMA,))
    yield Library(database, events.append, clock=lambda: 1000.0)
    database.close()


def copy_of(model: Path, to: Path) -> Path:
    shutil.copyfile(model, to)
    return to


async def refused(library: Library, path: Path) -> AppError:
    started = time.monotonic()
    with pytest.raises(AppError) as caught:
        await library.import_file(path)
    assert time.monotonic() - started < 0.5
    assert caught.value.message.endswith(".")
    assert caught.value.hint.endswith(".")
    assert await library.entries() == ()
    return caught.value


# --- importing -------------------------------------------------------------------------------


async def test_import_describes_the_model_and_leaves_the_file_in_place(
    library: Library, tmp_path: Path, events: list[AnyEvent]
) -> None:
    path = copy_of(tiny_model(), tmp_path / "Kimi-K2-Tiny-Q4_0.gguf")
    entry = await library.import_file(path)
    assert entry.ref == "Kimi-K2-Tiny:Q4_0"
    assert entry.name == "Random Kimi-shaped tiny"
    assert entry.arch == "deepseek2"
    assert (entry.experts, entry.experts_used, entry.shards) == (384, 8, 1)
    assert entry.bytes == path.stat().st_size
    assert entry.path == str(path)
    assert entry.origin == "imported"
    assert entry.ready
    assert entry.kind == "chat"
    assert 0 < entry.active_parameters < entry.parameters / 10
    assert await library.entries() == (entry,)
    assert await library.resolve(entry.ref) == entry
    assert await library.resolve(str(path)) == entry
    assert await library.resolve("kimi-k2-TINY:q4_0") == entry
    assert events == [Changed(topic="models", id=entry.ref)]


async def test_importing_again_or_through_a_link_returns_the_same_entry(
    library: Library, tmp_path: Path
) -> None:
    path = copy_of(tiny_model(), tmp_path / "model-a.gguf")
    link = tmp_path / "link.gguf"
    link.symlink_to(path)
    first = await library.import_file(path)
    assert (await library.import_file(path)).ref == first.ref
    assert (await library.import_file(link)).ref == first.ref
    assert len(await library.entries()) == 1


async def test_same_names_get_numbers_and_stay(library: Library, tmp_path: Path) -> None:
    refs = []
    for folder in ("a", "b", "c"):
        (tmp_path / folder).mkdir()
        path = copy_of(tiny_llama(), tmp_path / folder / "Some Model (v1)-Q8_0.gguf")
        refs.append((await library.import_file(path)).ref)
    assert refs == ["Some-Model-v1:Q8_0", "Some-Model-v1-2:Q8_0", "Some-Model-v1-3:Q8_0"]
    assert {entry.ref for entry in await library.entries()} == set(refs)


async def test_a_moved_model_keeps_its_name(library: Library, tmp_path: Path) -> None:
    path = copy_of(tiny_llama(), tmp_path / "M-Q8_0.gguf")
    first = await library.import_file(path)
    (tmp_path / "elsewhere").mkdir()
    moved = path.rename(tmp_path / "elsewhere" / "M-Q8_0.gguf")
    again = await library.import_file(moved)
    assert again.ref == first.ref
    assert [entry.path for entry in await library.entries()] == [str(moved)]


async def test_a_name_that_says_nothing_gives_way_to_the_declared_one(
    library: Library, tmp_path: Path
) -> None:
    path = copy_of(tiny_model(), tmp_path / f"sha256-{'ab' * 32}.gguf")
    assert (await library.import_file(path)).ref == "Random-Kimi-shaped-tiny:Q4_0"


async def test_embedders_are_told_apart(library: Library) -> None:
    assert (await library.import_file(tiny_embedder())).kind == "embedding"


# --- files that change -----------------------------------------------------------------------


async def test_a_missing_file_is_not_ready_until_it_is_back(
    library: Library, tmp_path: Path, events: list[AnyEvent]
) -> None:
    path = copy_of(tiny_llama(), tmp_path / "m.gguf")
    ref = (await library.import_file(path)).ref
    path.rename(tmp_path / "away")
    (entry,) = await library.entries()
    assert not entry.ready
    assert entry.problem is not None
    assert entry.problem.code == "not_found"
    assert str(path) in entry.problem.message
    with pytest.raises(AppError, match="There is no file"):
        await library.resolve(ref)
    (tmp_path / "away").rename(path)
    assert (await library.resolve(ref)).ready
    (entry,) = await library.entries()
    assert entry.ready
    assert entry.problem is None
    assert len(events) == 3


async def test_a_changed_file_is_read_again(library: Library, tmp_path: Path) -> None:
    path = copy_of(tiny_llama(), tmp_path / "m.gguf")
    ref = (await library.import_file(path)).ref
    copy_of(tiny_embedder(), path)
    entry = await library.resolve(ref)
    assert entry.arch == "bert"
    path.write_bytes(path.read_bytes()[:5000])
    (entry,) = await library.entries()
    assert not entry.ready
    assert entry.problem is not None
    assert "incomplete" in entry.problem.message


# --- removing --------------------------------------------------------------------------------


async def test_remove_keeps_the_file_unless_told(library: Library, tmp_path: Path) -> None:
    path = copy_of(tiny_llama(), tmp_path / "m.gguf")
    ref = (await library.import_file(path)).ref
    assert await library.remove(ref) == 0
    assert path.exists()
    assert await library.entries() == ()
    ref = (await library.import_file(path)).ref
    size = path.stat().st_size
    assert await library.remove(ref, delete_files=True) == size
    assert not path.exists()
    with pytest.raises(AppError) as caught:
        await library.remove(ref)
    assert caught.value.code == "model_not_found"


async def test_a_model_whose_file_is_gone_can_be_removed(library: Library, tmp_path: Path) -> None:
    path = copy_of(tiny_llama(), tmp_path / "m.gguf")
    ref = (await library.import_file(path)).ref
    path.unlink()
    assert (await library.find(ref)).ref == ref
    assert await library.remove(ref, delete_files=True) == 0
    assert await library.entries() == ()


async def test_files_of_another_program_are_never_deleted(library: Library, tmp_path: Path) -> None:
    path = copy_of(tiny_llama(), tmp_path / "m-Q8_0.gguf")
    assert await library.take_in([Found(path, "LM Studio", "someone/M")]) == 1
    (entry,) = await library.entries()
    assert (entry.ref, entry.origin) == ("someone/M:Q8_0", "LM Studio")
    with pytest.raises(AppError) as caught:
        await library.remove(entry.ref, delete_files=True)
    assert caught.value.code == "conflict"
    assert path.exists()
    assert await library.remove(entry.ref) == 0


async def test_a_file_that_cannot_be_deleted_stays_listed(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = (await library.import_file(copy_of(tiny_llama(), tmp_path / "m.gguf"))).ref

    def forbid(self: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", forbid)
    with pytest.raises(AppError) as caught:
        await library.remove(ref, delete_files=True)
    monkeypatch.undo()
    assert caught.value.code == "no_permission"
    assert len(await library.entries()) == 1


# --- refused ---------------------------------------------------------------------------------


async def test_not_a_gguf(library: Library, tmp_path: Path) -> None:
    path = tmp_path / "notes.gguf"
    path.write_bytes(b"PK\x03\x04 and so on, some other kind of file")
    error = await refused(library, path)
    assert error.code == "invalid_model"
    assert "not a GGUF file" in error.message


async def test_truncated(library: Library, tmp_path: Path) -> None:
    path = copy_of(tiny_model(), tmp_path / "cut.gguf")
    os.truncate(path, path.stat().st_size // 2)
    error = await refused(library, path)
    assert error.code == "invalid_model"
    assert "incomplete" in error.message


async def test_empty(library: Library, tmp_path: Path) -> None:
    (tmp_path / "empty.gguf").touch()
    assert "empty" in (await refused(library, tmp_path / "empty.gguf")).message


async def test_folder(library: Library, tmp_path: Path) -> None:
    assert "a folder" in (await refused(library, tmp_path)).message


async def test_fifo_is_refused_without_waiting(library: Library, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    assert "a named pipe" in (await refused(library, tmp_path / "pipe.gguf")).message


async def test_socket(library: Library, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s.gguf"))
        assert (await refused(library, tmp_path / "s.gguf")).code == "invalid_model"


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/random"])
async def test_device(library: Library, device: str) -> None:
    assert "a device" in (await refused(library, Path(device))).message


async def test_missing(library: Library, tmp_path: Path) -> None:
    assert (await refused(library, tmp_path / "no.gguf")).code == "not_found"


async def test_unreadable(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = copy_of(tiny_llama(), tmp_path / "m.gguf")
    real_open = os.open

    def forbid(name: str | Path, *rest: int) -> int:
        if str(name) == str(path):
            raise PermissionError(13, "Permission denied")
        return real_open(name, *rest)

    monkeypatch.setattr("freehold.gguf.source.os.open", forbid)
    assert (await refused(library, path)).code == "no_permission"


@pytest.mark.parametrize("name", ["x" * 300 + ".gguf", "nul\0.gguf", "~nobody-of-this-name/m.gguf"])
async def test_impossible_names(library: Library, tmp_path: Path, name: str) -> None:
    path = f"/tmp/{name}" if not name.startswith("~") else name
    with pytest.raises(AppError) as caught:
        await library.import_file(path)
    assert caught.value.code in ("not_found", "invalid_model", "invalid_request")
    with pytest.raises(AppError) as caught:
        await library.resolve(path)
    assert caught.value.code == "model_not_found"


async def test_relative_paths_mean_nothing_to_a_server(library: Library) -> None:
    with pytest.raises(AppError) as caught:
        await library.import_file("m.gguf")
    assert caught.value.code == "invalid_request"


async def test_unknown_architecture(library: Library, tmp_path: Path) -> None:
    write_model(tmp_path / "m.gguf", Recipe(kind="llama", arch="brainwave"))
    error = await refused(library, tmp_path / "m.gguf")
    assert error.code == "unsupported_architecture"
    assert "brainwave" in error.message


async def test_resolve_never_opens_a_path_that_was_not_imported(
    library: Library, tmp_path: Path
) -> None:
    with pytest.raises(AppError) as caught:
        await library.resolve(str(copy_of(tiny_llama(), tmp_path / "m.gguf")))
    assert caught.value.code == "model_not_found"


# --- folders ---------------------------------------------------------------------------------


async def test_damaged_finds_are_listed_with_their_problem(
    library: Library, tmp_path: Path
) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"GGUF\x03")
    assert await library.take_in([Found(tmp_path / "bad.gguf", "Jan")]) == 1
    (entry,) = await library.entries()
    assert not entry.ready
    assert entry.problem is not None
    assert entry.problem.code == "invalid_model"
    copy_of(tiny_llama(), tmp_path / "bad.gguf")
    (entry,) = await library.entries()
    assert entry.ready


async def test_finding_again_adds_nothing(library: Library, tmp_path: Path) -> None:
    found = [Found(copy_of(tiny_llama(), tmp_path / "m.gguf"), "Jan")]
    assert await library.take_in(found) == 1
    assert await library.take_in(found) == 0


async def test_scan_follows_what_comes_and_goes(library: Library, tmp_path: Path) -> None:
    top = tmp_path / "disk" / "models"
    top.mkdir(parents=True)
    roots = [Root(top, "LM Studio", "owner")]
    paths = [copy_of(tiny_llama(), top / f"River{n}-Q8_0.gguf") for n in range(3)]
    mine = copy_of(tiny_llama(), tmp_path / "mine-Q8_0.gguf")
    await library.import_file(mine)
    assert await library.scan(roots) == 3
    paths[0].unlink()
    mine.unlink()
    assert await library.scan(roots) == 0
    refs = [entry.ref for entry in await library.entries()]
    assert refs == ["mine:Q8_0", "River1:Q8_0", "River2:Q8_0"]
    (tmp_path / "disk").rename(tmp_path / "unplugged")
    assert await library.scan(roots) == 0
    entries = await library.entries()
    assert [entry.ref for entry in entries] == refs
    assert not any(entry.ready for entry in entries)


async def test_folders_are_remembered_and_forgotten(library: Library, tmp_path: Path) -> None:
    await library.add_folder(str(tmp_path))
    await library.add_folder(str(tmp_path))
    assert await library.folders() == (str(tmp_path),)
    path = copy_of(tiny_llama(), tmp_path / "m.gguf")
    await library.take_in([Found(path, str(tmp_path))])
    await library.remove_folder(str(tmp_path))
    assert await library.folders() == ()
    assert await library.entries() == ()
    assert path.exists()
    with pytest.raises(AppError, match="There is no folder"):
        await library.add_folder(str(tmp_path / "none"))


async def test_many_askers_at_once(library: Library, tmp_path: Path) -> None:
    paths = [copy_of(tiny_llama(), tmp_path / f"m{n}.gguf") for n in range(8)]
    await asyncio.gather(*(library.import_file(path) for path in paths))
    listings = await asyncio.gather(*(library.entries() for _ in range(8)))
    assert {len(listing) for listing in listings} == {8}


async def test_a_folder_that_freehold_made_goes_with_its_last_file(
    library: Library, tmp_path: Path
) -> None:
    own, foreign = tmp_path / "models" / "made", tmp_path / "theirs"
    for folder in (own, foreign):
        folder.mkdir(parents=True)
        shutil.copy(tiny_llama(), folder / "llama-Q8_0.gguf")
    made = await library.import_file(own / "llama-Q8_0.gguf", origin="made", owned=True)
    theirs = await library.import_file(foreign / "llama-Q8_0.gguf")
    await library.remove(made.ref, delete_files=True)
    await library.remove(theirs.ref, delete_files=True)
    assert not own.exists()
    assert foreign.exists(), "a folder of the person's own stays"
