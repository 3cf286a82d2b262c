"""What every `FilesClient` keeps to: the same assertions on `HttpFiles` over a real server and on
the `FakeFiles` of the window's tests; then what only real files can show."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from doubles.client import FakeClient
from doubles.hub import HubRepo, running_hub
from doubles.models import tiny_embedder, tiny_llama, tiny_model
from doubles.scenes import KIMI, QWEN
from doubles.server import FakeModels, LiveServer, fake_entry, fake_house
from freehold.client.files import FilesClient
from freehold.client.http import HttpClient
from freehold.errors import AppError
from freehold.gguf.ggml_types import F32
from freehold.gguf.writer import MetadataValue, TensorData, write_gguf
from freehold.library.anatomy import read_anatomy, read_tensors
from freehold.wire_files import QuantiseRequest

FIRST, SECOND = KIMI.ref, QWEN.ref


@contextlib.asynccontextmanager
async def http_files(folder: Path) -> AsyncIterator[FilesClient]:
    entries = [
        fake_entry(FIRST, path=str(tiny_model())),
        fake_entry(SECOND, path=str(tiny_llama()), arch="llama"),
        fake_entry("embedder", path=str(tiny_embedder()), arch="bert"),
        fake_entry("twin", path=str(tiny_model())),
        fake_entry("gone", path=str(folder / "gone.gguf")),
    ]
    server = LiveServer(lambda: fake_house(folder, FakeModels(), entries))
    await asyncio.to_thread(server.start)
    try:
        client = HttpClient(server.url, server.key)
        try:
            yield client.files
        finally:
            await client.close()
    finally:
        await asyncio.to_thread(server.stop)


@contextlib.asynccontextmanager
async def fake_files(_folder: Path) -> AsyncIterator[FilesClient]:
    client = FakeClient(models=(KIMI, QWEN))
    client.files.templates[QWEN.ref] = "{{ messages[0].content }}"
    yield client.files
    await client.close()


@pytest.fixture(params=[http_files, fake_files])
async def files(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[FilesClient]:
    async with request.param(tmp_path) as client:
        yield client


async def test_an_anatomy_adds_up(files: FilesClient) -> None:
    found = await files.anatomy(FIRST)
    tensors = await files.tensors(FIRST)
    assert found.ref == FIRST
    assert found.tensors == len(tensors) > 0
    assert sum(row.bytes for row in tensors) == found.tensor_bytes
    assert sum(found.bytes_by_piece.values()) == found.tensor_bytes
    assert sum(found.bytes_by_type.values()) == found.tensor_bytes
    by_layer = [sum(row.bytes_by_piece.values()) for row in found.layer_bytes]
    assert sum(by_layer) == found.tensor_bytes
    assert found.layer_bytes[-1].layer is None
    assert [row.layer for row in found.layer_bytes[:-1]] == list(range(found.layers))
    assert found.experts == 384
    assert found.experts_used == 8
    assert {"experts", "attention", "embeddings", "norms"} <= set(found.bytes_by_piece)
    assert found.tokenizer.special
    assert found.chat_template


async def test_templates_are_compared(files: FilesClient) -> None:
    same = await files.compare_templates(FIRST, FIRST)
    assert same.same
    assert same.lines == ()
    other = await files.compare_templates(FIRST, SECOND)
    assert not other.same
    assert other.other == SECOND
    assert other.added == sum(line.kind == "added" for line in other.lines) > 0
    assert other.removed > 0


async def test_a_model_nobody_knows(files: FilesClient) -> None:
    for call in (files.anatomy, files.tensors):
        with pytest.raises(AppError) as caught:
            await call("nobody")
        assert caught.value.code == "model_not_found"


async def test_a_plan_is_made_before_anything_is_written(files: FilesClient) -> None:
    plan = await files.plan_quantise(
        QuantiseRequest(ref=SECOND, mix="q4_0", name="My model: one/two")
    )
    assert plan.name == "My-model-one-two"
    assert 0 < plan.bytes < plan.source_bytes
    assert "Q4_0" in plan.bytes_by_type
    assert plan.tensors >= plan.changed > 0
    assert plan.free_bytes > 0
    assert await files.making() == ()
    for wrong in (QuantiseRequest(ref=SECOND, mix="none"), QuantiseRequest(ref="x", mix="Q4_0")):
        with pytest.raises(AppError):
            await files.plan_quantise(wrong)


async def test_what_is_made_is_listed_and_can_be_cancelled(files: FilesClient) -> None:
    begun = await files.quantise(QuantiseRequest(ref=SECOND, mix="Q4_0"))
    assert begun.state == "running"
    assert [job.id for job in await files.making()] == [begun.id]
    await files.cancel_making(begun.id)
    ended = await files.making()
    if ended:  # it may have been done already
        assert ended[0].state in ("cancelled", "done")
        await files.cancel_making(begun.id)
    assert await files.making() == ()
    with pytest.raises(AppError) as caught:
        await files.cancel_making(begun.id)
    assert caught.value.code == "not_found"


async def test_duplicates_are_looked_for(files: FilesClient) -> None:
    found = await files.duplicates()
    assert all(len(group.copies) > 1 for group in found.groups)
    assert found.left_bytes >= 0


async def test_real_files_say_what_they_are(tmp_path: Path) -> None:
    async with http_files(tmp_path) as files:
        kimi = await files.anatomy(FIRST)
        assert kimi.files[0].bytes == kimi.tensor_bytes + kimi.header_bytes
        assert kimi.relatives == ("twin", "gone")
        assert "tokenizer.ggml.tokens" in {row.key for row in kimi.metadata}
        assert all(len(row.value) < 20_000 for row in kimi.metadata)
        embedder = await files.anatomy("embedder")
        assert embedder.kind == "embedding"
        assert embedder.chat_template == ""
        with pytest.raises(AppError) as caught:
            await files.compare_templates("embedder", FIRST)
        assert caught.value.code == "not_found"
        with pytest.raises(AppError) as caught:
            await files.anatomy("gone")
        assert caught.value.code == "not_found"


async def test_the_base_models_template_comes_from_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "derived.gguf"
    metadata: dict[str, MetadataValue] = {
        "general.architecture": "llama",
        "general.base_model.0.repo_url": "https://huggingface.co/ada/original",
        "tokenizer.chat_template": "one\nthree",
    }
    write_gguf(
        path, metadata, [TensorData("token_embd.weight", F32, (8,), lambda: iter([b"1" * 32]))]
    )
    entries = [fake_entry("derived", path=str(path)), fake_entry("k", path=str(tiny_model()))]
    with running_hub() as hub:
        config = b'{"chat_template": [{"name": "default", "template": "one\\ntwo"}]}'
        hub.add(HubRepo("ada/original", files={"tokenizer_config.json": config}))
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        server = LiveServer(lambda: fake_house(tmp_path / "house", FakeModels(), entries))
        await asyncio.to_thread(server.start)
        client = HttpClient(server.url, server.key)
        try:
            found = await client.files.compare_templates("derived", "base")
            assert found.other == "ada/original"
            assert [line.text for line in found.lines if line.kind == "removed"] == ["two"]
            with pytest.raises(AppError) as caught:
                await client.files.compare_templates("k", "base")
            assert caught.value.code == "not_found"
        finally:
            await client.close()
            await asyncio.to_thread(server.stop)


async def test_names_cannot_disguise_themselves(tmp_path: Path) -> None:
    path = tmp_path / "odd.gguf"
    metadata: dict[str, MetadataValue] = {
        "general.architecture": "llama",
        "general.name": "safe\u202egpj.exe",
        "key\u2066": "line one\nline two\x07",
    }
    tensors = [TensorData("w\u202e.weight", F32, (8,), lambda: iter([b"1" * 32]))]
    write_gguf(path, metadata, tensors)
    found = read_anatomy(path, "odd")
    assert read_tensors(path)[0].name == "w�.weight"
    rows = {row.key: row.value for row in found.metadata}
    assert rows["key�"] == "line one\nline two�"
    assert rows["general.name"] == "safe�gpj.exe"
