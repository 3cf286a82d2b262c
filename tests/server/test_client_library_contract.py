"""What every `Client` keeps to about the hub and downloads: real server over the hub double, and
the `FakeClient` of the window's tests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest
import pytest_asyncio

from doubles.client import FakeClient
from doubles.hub import Hub, HubRepo, running_hub
from doubles.models import tiny_model
from doubles.server import FakeModels, LiveServer, fake_paths
from freehold.client.http import HttpClient
from freehold.client.protocol import Client
from freehold.errors import AppError
from freehold.server.wiring import build_house
from freehold.wire import Changed, DownloadChanged
from freehold.wire_library import Fit, HubModel, HubPage, HubQuery, HubVariant

REPO = "ada/tiny-GGUF"
OTHER = "bob/other-GGUF"


class World(Protocol):
    """A client, and the hands on the hub behind it."""

    client: Client

    def hold(self) -> None:
        """Let downloads begin but not end."""

    def let_go(self) -> None:
        """Let them end."""


@dataclass
class HttpWorld:
    client: Client
    hub: Hub

    def hold(self) -> None:
        self.hub.faults.add("stall", after=1_500_000, times=1000)

    def let_go(self) -> None:
        self.hub.faults.clear()


@dataclass
class FakeWorld:
    client: FakeClient

    def hold(self) -> None:
        """Nothing moves by itself."""

    def let_go(self) -> None:
        for download in list(self.client.shelf.downloads.values()):
            self.client.shelf.finish(download.id)


@contextlib.asynccontextmanager
async def http_world(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    with running_hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        for name in (REPO, OTHER):
            hub.add(HubRepo(name, files={"tiny-Q8_0.gguf": tiny_model()}))
        server = LiveServer(lambda: build_house(fake_paths(folder), make_engine=FakeModels()))
        await asyncio.to_thread(server.start)
        client = HttpClient(server.url, server.key)
        try:
            yield HttpWorld(client, hub)
        finally:
            await client.close()
            await asyncio.to_thread(server.stop)


@contextlib.asynccontextmanager
async def fake_world() -> AsyncIterator[World]:
    client = FakeClient()
    size = tiny_model().stat().st_size
    fit = Fit(verdict="gpu+ram", label="Fits in memory", reason="It is small.")
    variant = HubVariant(name="Q8_0", quant="Q8_0", bytes=size, fit=fit, recommended=True)
    for name in (REPO, OTHER):
        model = HubModel(repository=name)
        client.shelf.found += (model,)
        client.shelf.pages[name] = HubPage(
            model=model, revision="abc", link="", card="", variants=(variant,)
        )
    yield FakeWorld(client)
    await client.close()


@pytest_asyncio.fixture(params=["http", "fake"])
async def world(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    made = http_world(tmp_path, monkeypatch) if request.param == "http" else fake_world()
    async with made as world:
        yield world


async def heard(world: World, after: int, condition: Callable[[list[object]], object]) -> None:
    """Return once the events since `after` fulfil `condition`."""
    events: list[object] = []
    async with asyncio.timeout(20):
        async for envelope in world.client.events(after):
            events.append(envelope.event)
            if condition(events):
                return


def ended(event: object, state: str) -> bool:
    return (
        isinstance(event, DownloadChanged)
        and event.download is not None
        and event.download.state == state
    )


async def test_search_finds_and_a_page_shows_variants(world: World) -> None:
    found = await world.client.search_hub(HubQuery(text="tiny"))
    assert [m.repository for m in found] == [REPO]
    assert await world.client.search_hub(HubQuery(text="zebra")) == ()
    page = await world.client.hub_page(REPO)
    (variant,) = page.variants
    assert variant.name == "Q8_0"
    assert variant.recommended
    assert variant.fit is not None
    for name, code in (("no/body", "not_found"), ("../x", "invalid_request")):
        with pytest.raises(AppError) as refused:
            await world.client.hub_page(name)
        assert refused.value.code == code
        assert refused.value.hint


async def test_a_download_becomes_a_model_and_is_told(world: World) -> None:
    seq = (await world.client.state()).seq
    begun = await world.client.start_download(REPO)
    assert (begun.repository, begun.variant) == (REPO, "Q8_0")
    world.let_go()
    await heard(world, seq, lambda events: ended(events[-1], "done"))
    (done,) = await world.client.downloads()
    assert done.ref == f"{REPO}:Q8_0"
    assert done.done_bytes == done.total_bytes == done.verified_bytes
    assert done.ref in [m.ref for m in (await world.client.state()).models]
    await world.client.cancel_download(done.id)
    assert await world.client.downloads() == ()
    assert done.ref in [m.ref for m in (await world.client.state()).models]


async def test_pause_resume_move_and_cancel(world: World) -> None:
    world.hold()
    first = await world.client.start_download(REPO, "Q8_0")
    second = await world.client.start_download(OTHER)
    assert [d.id for d in await world.client.downloads()] == [first.id, second.id]
    assert (await world.client.start_download(REPO, "Q8_0")).id == first.id
    assert (await world.client.pause_download(first.id)).state == "paused"
    assert (await world.client.resume_download(first.id)).state in ("queued", "running")
    seq = (await world.client.state()).seq
    await world.client.move_download(second.id, 0)
    await heard(world, seq, lambda events: Changed(topic="downloads") in events)
    assert [d.id for d in await world.client.downloads()] == [second.id, first.id]
    seq = (await world.client.state()).seq
    await world.client.cancel_download(second.id)
    await heard(world, seq, lambda events: DownloadChanged(id=second.id) in events)
    assert [d.id for d in await world.client.downloads()] == [first.id]
    for call in (world.client.pause_download, world.client.resume_download):
        with pytest.raises(AppError) as gone:
            await call("none")
        assert gone.value.code == "not_found"
    with pytest.raises(AppError) as unknown:
        await world.client.start_download(REPO, "Q1")
    assert unknown.value.code == "not_found"
    await world.client.cancel_download(first.id)


async def test_the_token_is_kept_only_when_the_hub_knows_it(world: World) -> None:
    with pytest.raises(AppError) as wrong:
        await world.client.save_hub_token("hf_wrong")
    assert wrong.value.code == "unauthorized"
    assert (await world.client.hub_account()).kept_in == "none"
    account = await world.client.save_hub_token("hf_good")
    assert (account.kept_in, account.name) == ("file", "ada")
    assert (await world.client.save_hub_token("")).kept_in == "none"
