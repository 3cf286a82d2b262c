"""The queue of downloads behind the real routes: hub double, real server, real library."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from doubles.hub import Hub, HubRepo, running_hub
from doubles.models import tiny_llama, tiny_model
from doubles.server import FakeModels, LiveServer, fake_paths
from doubles.waiting import until
from freehold.client.http import HttpClient
from freehold.errors import AppError
from freehold.server.wiring import build_house
from freehold.wire import Download, DownloadChanged
from freehold.wire_library import HubQuery

TINY = "ada/tiny-kimi-GGUF"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with running_hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        hub.add(
            HubRepo(
                TINY,
                files={"tiny-Q8_0.gguf": tiny_model(), "tiny-BF16.gguf": 500_000_000_000},
                card="---\nlicense: mit\n---\n# Tiny\n\nA model for tests.",
                downloads=5000,
                architecture="deepseek2",
            )
        )
        hub.add(HubRepo("bob/llama-GGUF", files={"l-Q4_K_M.gguf": tiny_llama()}, likes=99))
        hub.add(HubRepo("eve/gated-GGUF", files={"g-Q4_0.gguf": 10_000}, gated="manual"))
        yield hub


@contextlib.asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[HttpClient]:
    server = LiveServer(lambda: build_house(fake_paths(folder), make_engine=FakeModels()))
    await asyncio.to_thread(server.start)
    client = HttpClient(server.url, server.key)
    try:
        yield client
    finally:
        await client.close()
        await asyncio.to_thread(server.stop)


@pytest_asyncio.fixture
async def client(hub: Hub, tmp_path: Path) -> AsyncIterator[HttpClient]:
    async with serving(tmp_path) as client:
        yield client


async def reach(
    client: HttpClient, condition: Callable[[Download], object], limit_s: float = 20.0
) -> Download:
    """Return the first listed download once `condition` holds for it."""
    found: list[Download] = []
    deadline = asyncio.get_running_loop().time() + limit_s
    while True:
        found = list(await client.downloads())
        if found and condition(found[0]):
            return found[0]
        assert asyncio.get_running_loop().time() < deadline, found
        await asyncio.sleep(0.02)


async def test_from_search_to_a_model_in_the_library(client: HttpClient, hub: Hub) -> None:
    found = await client.search_hub(HubQuery(text="tiny"))
    assert [model.repository for model in found] == [TINY]
    page = await client.hub_page(TINY)
    assert page.card == "# Tiny\n\nA model for tests."
    assert [v.name for v in page.variants] == ["Q8_0", "BF16"]
    assert page.variants[0].recommended
    assert page.variants[1].fit is not None
    assert page.variants[1].fit.verdict in ("disk", "no")
    events: list[Download] = []

    async def listen(after: int) -> None:
        async for envelope in client.events(after):
            if isinstance(envelope.event, DownloadChanged) and envelope.event.download:
                events.append(envelope.event.download)

    listener = asyncio.create_task(listen((await client.state()).seq))
    begun = await client.start_download(TINY)
    assert begun.variant == "Q8_0"
    done = await reach(client, lambda d: d.state == "done")
    assert done.ref == f"{TINY}:Q8_0"
    (entry,) = (await client.state()).models
    assert (entry.ref, entry.origin, entry.ready) == (done.ref, "downloaded", True)
    assert Path(entry.path).read_bytes() == tiny_model().read_bytes()
    (checksum,) = await client.checksums(entry.ref)
    assert checksum.path == entry.path
    await until(lambda: events and events[-1].state == "done")
    assert {"queued", "done"} <= {event.state for event in events}
    again = await client.hub_page(TINY)
    assert again.variants[0].ref == done.ref
    await client.cancel_download(done.id)
    assert await client.downloads() == ()
    assert Path(entry.path).exists()
    assert await client.remove_model(entry.ref, delete_files=True) == entry.bytes
    assert not Path(entry.path).exists()
    listener.cancel()
    await asyncio.gather(listener, return_exceptions=True)


async def test_headers_are_read_before_the_download_and_once(client: HttpClient, hub: Hub) -> None:
    facts = await client.variant_facts(TINY, "Q8_0")
    assert (facts.architecture, facts.experts, facts.experts_used) == ("deepseek2", 384, 8)
    assert facts.bytes_by_part["experts"] > 0
    assert facts.fit.level == "calculated"
    shown = {v.name: v for v in (await client.hub_page(TINY)).variants}
    assert shown["Q8_0"].fit == facts.fit, "the page says what the planner said"
    assert 0 < facts.read_bytes <= tiny_model().stat().st_size
    before = len(hub.seen("cdn", "GET"))
    assert (await client.variant_facts(TINY, "q8_0")).read_bytes == 0
    assert len(hub.seen("cdn", "GET")) == before


async def test_pause_resume_and_a_restart_of_the_server(hub: Hub, tmp_path: Path) -> None:
    hub.faults.add("stall", after=1_500_000, times=50)
    async with serving(tmp_path) as client:
        await client.start_download(TINY, "Q8_0")
        running = await reach(client, lambda d: d.state == "running" and d.done_bytes)
        paused = await client.pause_download(running.id)
        assert paused.state == "paused"
        assert paused.done_bytes >= 1_000_000
        assert not [m for m in (await client.state()).models if m.ready]
        assert (await client.resume_download(running.id)).state in ("queued", "running")
        await reach(client, lambda d: d.state == "running")
    hub.faults.clear()
    async with serving(tmp_path) as client:
        done = await reach(client, lambda d: d.state == "done")
        assert Path(done.folder, "tiny-Q8_0.gguf").read_bytes() == tiny_model().read_bytes()


async def test_cancelling_deletes_what_came(client: HttpClient, hub: Hub, tmp_path: Path) -> None:
    hub.faults.add("stall", after=1_500_000, times=50)
    await client.start_download(TINY, "Q8_0")
    running = await reach(client, lambda d: d.done_bytes)
    await client.cancel_download(running.id)
    assert await client.downloads() == ()
    assert [p for p in (tmp_path / "data" / "models").rglob("*") if p.is_file()] == []
    with pytest.raises(AppError) as gone:
        await client.resume_download(running.id)
    assert gone.value.code == "not_found"


async def test_the_queue_runs_in_the_order_a_person_gives_it(client: HttpClient, hub: Hub) -> None:
    hub.faults.add("stall", after=10, times=500)
    first = await client.start_download(TINY, "Q8_0")
    second = await client.start_download("bob/llama-GGUF")
    await reach(client, lambda d: d.state == "running")
    assert [d.state for d in await client.downloads()] == ["running", "queued"]
    await client.move_download(second.id, 0)
    moved = await reach(client, lambda d: d.id == second.id and d.state == "running")
    assert moved.repository == "bob/llama-GGUF"
    assert [d.id for d in await client.downloads()] == [second.id, first.id]
    again = await client.start_download(TINY, "Q8_0")
    assert again.id == first.id, "the same model is never in the queue twice"


async def test_too_little_room_names_the_smaller_ones(client: HttpClient, hub: Hub) -> None:
    hub.add(
        HubRepo("big/model-GGUF", {"m-Q8_0.gguf": 900_000_000_000_000, "m-Q4_0.gguf": 10_000_000})
    )
    with pytest.raises(AppError) as full:
        await client.start_download("big/model-GGUF", "Q8_0")
    assert full.value.code == "disk_full"
    assert "Q4_0 (10.0 MB)" in full.value.hint


async def test_a_licence_that_was_not_accepted_stops_with_the_link(
    client: HttpClient, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    await client.start_download("eve/gated-GGUF")
    failed = await reach(client, lambda d: d.state == "failed")
    assert failed.error is not None
    assert failed.error.detail["reason"] == "not_accepted"
    assert failed.error.detail["link"] == "https://huggingface.co/eve/gated-GGUF"


async def test_the_token_is_checked_kept_privately_and_never_shown(
    client: HttpClient, hub: Hub, tmp_path: Path
) -> None:
    assert (await client.hub_account()).kept_in == "none"
    with pytest.raises(AppError) as wrong:
        await client.save_hub_token("hf_wrong")
    assert wrong.value.code == "unauthorized"
    assert (await client.hub_account()).kept_in == "none"
    account = await client.save_hub_token("hf_good")
    assert (account.kept_in, account.name) == ("file", "ada")
    file = tmp_path / "config" / "hub_token"
    assert file.stat().st_mode & 0o077 == 0
    assert "hf_good" not in repr(account)
    assert (await client.save_hub_token("")).kept_in == "none"
    assert not file.exists()


async def test_names_that_lead_out_of_the_folder_are_not_offered(
    client: HttpClient, hub: Hub, tmp_path: Path
) -> None:
    bad = ["../up.gguf", "/etc/x.gguf", "a\\b.gguf", "nul\0.gguf", "n" * 300 + ".gguf", "con.gguf"]
    hub.add(HubRepo("mal/icious-GGUF", {**dict.fromkeys(bad, 10), "good-Q4_0.gguf": 10}))
    page = await client.hub_page("mal/icious-GGUF")
    assert [v.name for v in page.variants] == ["Q4_0"]
    assert page.refused == len(bad)
    for name in ("../../etc", "a/../b", "a\\b/c", "x", "a/b/c", "a/" + "b" * 300):
        with pytest.raises(AppError) as refused:
            await client.hub_page(name)
        assert refused.value.code == "invalid_request"


async def test_offline_mode_says_so_and_the_list_works(
    client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(AppError) as refused:
        await client.search_hub(HubQuery(text="kimi"))
    assert refused.value.detail["reason"] == "offline"
    names = [entry.name for entry in await client.catalog()]
    assert names[0].startswith("Kimi")
    assert (await client.hub_account()).offline


@pytest.mark.parametrize("kind", ["captive", "server_error"])
async def test_a_hub_that_is_none_is_explained(client: HttpClient, hub: Hub, kind: str) -> None:
    hub.faults.add(kind, host="hub", times=30, retry_after="1")  # type: ignore[arg-type]
    with pytest.raises(AppError) as error:
        await client.search_hub(HubQuery(text="x"))
    assert error.value.code in ("network_failed", "rate_limited")
    assert error.value.hint


async def test_a_missing_repository_and_variant_say_what_there_is(client: HttpClient) -> None:
    with pytest.raises(AppError) as missing:
        await client.hub_page("no/body")
    assert missing.value.code == "not_found"
    with pytest.raises(AppError) as variant:
        await client.start_download(TINY, "Q2_K")
    assert "Q8_0" in variant.value.hint


async def test_a_terabyte_in_33_shards_is_listed_in_under_a_second(
    client: HttpClient, hub: Hub
) -> None:
    shards = {
        f"UD-Q8/kimi-UD-Q8_K_XL-{n:05d}-of-00033.gguf": 1_000_000_000_000 // 33
        for n in range(1, 34)
    }
    hub.add(HubRepo("big/kimi-GGUF", shards))
    began = asyncio.get_running_loop().time()
    page = await client.hub_page("big/kimi-GGUF")
    assert asyncio.get_running_loop().time() - began < 1.0
    (variant,) = page.variants
    assert (variant.files, variant.missing) == (33, 0)
    assert variant.bytes == sum(shards.values())


@pytest.mark.parametrize("path", ["/api/models", "README.md"])
async def test_no_redirect_of_the_hub_takes_the_token_along(
    client: HttpClient, hub: Hub, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    hub.faults.add("leak", host="hub", path=path)
    if path == "README.md":
        assert (await client.hub_page(TINY)).card == ""
    else:
        with pytest.raises(AppError):
            await client.search_hub(HubQuery(text="x"))
    seen = hub.seen("foreign")
    assert seen
    assert all(s.authorization == "" and "hf_good" not in s.path for s in seen)
    assert any(s.authorization == "Bearer hf_good" for s in hub.seen("hub"))
