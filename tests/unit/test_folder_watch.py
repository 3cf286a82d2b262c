"""Folders of other programs and the person's own, as the server keeps up with them."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from doubles.models import tiny_llama, tiny_model
from doubles.server import fake_paths
from doubles.waiting import until
from freehold.library import schema
from freehold.library.local import Library
from freehold.server.folder_watch import FolderWatch
from freehold.storage.connection import Database
from freehold.wire import AnyEvent


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    paths = fake_paths(tmp_path / "freehold")
    paths.create()
    database = Database.open(paths, (schema.SCHEMA,))
    told: list[AnyEvent] = []
    yield Library(database, told.append)
    database.close()


async def refs(library: Library) -> list[str]:
    return [entry.ref for entry in await library.entries()]


async def test_other_programs_models_and_own_folders_come_and_go(
    library: Library, tmp_path: Path
) -> None:
    lm_studio = tmp_path / "home" / ".lmstudio" / "models" / "ada" / "llama-GGUF"
    lm_studio.mkdir(parents=True)
    shutil.copy(tiny_llama(), lm_studio / "llama-Q8_0.gguf")
    own = tmp_path / "disk"
    own.mkdir()
    shutil.copy(tiny_model(), own / "kimi-Q8_0.gguf")
    chosen: list[str] = []
    watch = FolderWatch(library, lambda: tuple(chosen), environment={}, home=tmp_path / "home")
    assert await watch.look() == 1
    assert await refs(library) == ["ada/llama-GGUF:Q8_0"]
    chosen += [str(own), str(tmp_path / "unplugged")]
    assert await watch.look() == 1
    assert await refs(library) == ["ada/llama-GGUF:Q8_0", "kimi:Q8_0"]
    origins = {entry.ref: entry.origin for entry in await library.entries()}
    assert origins == {"ada/llama-GGUF:Q8_0": "LM Studio", "kimi:Q8_0": str(own)}
    (lm_studio / "llama-Q8_0.gguf").unlink()
    assert await watch.look() == 0
    assert await refs(library) == ["kimi:Q8_0"]
    chosen.clear()
    await watch.look()
    assert await refs(library) == []
    assert (own / "kimi-Q8_0.gguf").exists()


async def test_a_folder_the_person_adds_is_searched_soon(library: Library, tmp_path: Path) -> None:
    own = tmp_path / "disk"
    own.mkdir()
    shutil.copy(tiny_model(), own / "kimi-Q8_0.gguf")
    chosen: list[str] = []
    watch = FolderWatch(library, lambda: tuple(chosen), environment={}, home=tmp_path)
    watch.start()
    chosen.append(str(own))
    found: list[str] = []

    async def look() -> None:
        found[:] = await refs(library)

    for _ in range(100):
        await look()
        if found:
            break
        await until_soon()
    assert found == ["kimi:Q8_0"]
    await watch.close()


async def until_soon() -> None:
    """Let a tenth of a second pass for the watcher."""
    import time

    end = time.monotonic() + 0.1
    await until(lambda: time.monotonic() >= end)


async def test_a_running_server_notices_what_comes_grows_and_goes(
    library: Library, tmp_path: Path
) -> None:
    own = tmp_path / "disk"
    own.mkdir()
    watch = FolderWatch(
        library, lambda: (str(own),), environment={}, home=tmp_path / "home", notice_s=0.02
    )
    watch.start()
    try:
        await until(lambda: watch._task is not None)
        (own / "deep" / "er").mkdir(parents=True)
        file = own / "deep" / "er" / "kimi-Q8_0.gguf"
        await _until_refs(library, [])
        data = tiny_model().read_bytes()
        file.write_bytes(data[: len(data) // 2])  # still being copied
        await _until_refs(library, ["kimi"])
        assert not (await library.entries())[0].ready
        with file.open("ab") as rest:
            rest.write(data[len(data) // 2 :])
        await _until_ready(library)
        file.unlink()
        await _until_refs(library, [])
    finally:
        await watch.close()


async def _until_refs(library: Library, wanted: list[str]) -> None:
    for _ in range(500):
        if await refs(library) == wanted:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"never {wanted}: {await refs(library)}")


async def _until_ready(library: Library) -> None:
    for _ in range(500):
        if (await library.entries())[0].ready:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the model never became ready")
