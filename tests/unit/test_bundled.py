"""The models that come with Freehold: found, named when missing or damaged, whole in this tree."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from doubles.models import tiny_embedder, tiny_model
from freehold.doctor.models import check_models
from freehold.errors import AppError
from freehold.library.bundled import SUMS, expected_sums
from freehold.library.local import Library
from freehold.library.schema import SCHEMA
from freehold.paths import resources, user_paths
from freehold.storage.connection import Database
from freehold.wire import ModelEntry

STARTER = "freehold-starter-Q8_0.gguf"
EMBEDDER = "all-MiniLM-L6-v2-Q8_0.gguf"


@pytest.fixture
def library(data_folder: Path) -> Iterator[Library]:
    paths = user_paths()
    paths.create()
    database = Database.open(paths, (SCHEMA,))
    yield Library(database, lambda _event: None, clock=lambda: 1000.0)
    database.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Both bundled models, tiny ones, with their checksums."""
    place = tmp_path / "bundled"
    place.mkdir()
    shutil.copyfile(tiny_model(), place / STARTER)
    shutil.copyfile(tiny_embedder(), place / EMBEDDER)
    lines = [
        f"{hashlib.sha256((place / name).read_bytes()).hexdigest()}  {name}\n"
        for name in (STARTER, EMBEDDER)
    ]
    (place / SUMS).write_text("".join(lines), encoding="utf-8")
    return place


async def listed(library: Library) -> dict[str, ModelEntry]:
    return {Path(entry.path).name: entry for entry in await library.entries()}


def flip_last_byte(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-1] ^= 0xFF
    file.write_bytes(data)


async def test_both_are_listed_as_coming_with_freehold(library: Library, folder: Path) -> None:
    assert await library.take_bundled(folder) == 2
    found = await listed(library)
    assert {entry.origin for entry in found.values()} == {"bundled"}
    assert all(entry.ready for entry in found.values())
    assert (found[STARTER].kind, found[EMBEDDER].kind) == ("chat", "embedding")
    assert await library.take_bundled(folder) == 0


async def test_a_missing_file_is_named_and_its_return_noticed(
    library: Library, folder: Path
) -> None:
    (folder / STARTER).rename(folder / "aside")
    (folder / EMBEDDER).unlink()
    await library.take_bundled(folder)
    found = await listed(library)
    problem = found[STARTER].problem
    assert problem is not None
    assert problem.message == "The starter model, which comes with Freehold, is missing."
    assert "Import" in problem.hint
    assert found[EMBEDDER].kind == "embedding"
    assert not found[EMBEDDER].ready
    (folder / "aside").rename(folder / STARTER)
    assert (await listed(library))[STARTER].ready


async def test_a_file_that_disappears_keeps_its_name(library: Library, folder: Path) -> None:
    await library.take_bundled(folder)
    before = (await listed(library))[STARTER]
    (folder / STARTER).unlink()
    await library.take_bundled(folder)
    after = (await listed(library))[STARTER]
    assert (after.ref, after.name, after.ready) == (before.ref, before.name, False)


async def test_a_changed_byte_among_the_weights_is_found(library: Library, folder: Path) -> None:
    await library.take_bundled(folder)
    flip_last_byte(folder / STARTER)
    ref = (await listed(library))[STARTER].ref
    with pytest.raises(AppError, match="is damaged \\(its checksum does not match\\)"):
        await library.resolve(ref)
    flip_last_byte(folder / STARTER)
    assert (await listed(library))[STARTER].ready


async def test_a_file_that_is_no_model_is_named(library: Library, folder: Path) -> None:
    (folder / STARTER).write_bytes(b"GGUF\x03\x00")
    await library.take_bundled(folder)
    problem = (await listed(library))[STARTER].problem
    assert problem is not None
    assert problem.message.startswith("The starter model, which comes with Freehold, is damaged (")


async def test_the_models_of_another_installation_are_forgotten(
    library: Library, folder: Path, tmp_path: Path
) -> None:
    await library.take_bundled(folder)
    moved = tmp_path / "elsewhere"
    folder.rename(moved)
    await library.take_bundled(moved)
    assert {Path(entry.path).parent for entry in await library.entries()} == {moved}


def test_the_doctor_names_what_is_wrong_with_them(
    folder: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FREEHOLD_RESOURCES", str(folder.parent))
    folder.rename(folder.with_name("models"))
    place = folder.with_name("models")
    assert check_models(user_paths()).ok
    flip_last_byte(place / STARTER)
    (place / EMBEDDER).unlink()
    check = check_models(user_paths())
    assert not check.ok
    assert not check.needed
    assert "The starter model, which comes with Freehold, is damaged" in check.detail
    assert "searches documents, which comes with Freehold, is missing" in check.detail
    assert "Install Freehold again" in check.fix


def test_the_list_in_this_tree_is_that_of_its_files() -> None:
    models = resources() / "models"
    sums = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in models.glob("*.gguf")
    }
    assert expected_sums(models) == sums, (
        "Write it again: cd resources/models && sha256sum *.gguf > SHA256SUMS"
    )
