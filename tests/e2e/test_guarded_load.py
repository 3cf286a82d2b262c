"""The planner before real loads: the same plan on the command line, over the API and as loaded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from doubles.big_models import kimi_k2
from doubles.models import tiny_model
from doubles.server import LiveServer, fake_paths
from freehold.cli import main
from freehold.client.http import HttpClient
from freehold.commands.load import wait_ready
from freehold.engine.process import ProcessEngine
from freehold.errors import AppError
from freehold.server.wiring import build_house
from freehold.wire import EngineState, LoadRequest
from freehold.wire_machine import PlanRequest

pytestmark = [pytest.mark.e2e, pytest.mark.engine]


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[tuple[LiveServer, HttpClient]]:
    live = LiveServer(lambda: build_house(fake_paths(tmp_path), make_engine=ProcessEngine))
    await asyncio.to_thread(live.start)
    client = HttpClient(live.url, live.key)
    try:
        yield live, client
    finally:
        await client.close()
        await asyncio.to_thread(live.stop)


async def load(client: HttpClient, ref: str, request: LoadRequest | None = None) -> EngineState:
    """Load and wait; raises the AppError that the load failed with."""
    await client.load_model(ref, request)
    async with asyncio.timeout(60):
        return await wait_ready(client, ref, show=lambda _state: None)


async def test_what_is_loaded_is_what_was_planned(
    server: tuple[LiveServer, HttpClient], capsys: pytest.CaptureFixture[str]
) -> None:
    live, client = server
    entry = await client.import_model(str(tiny_model()))
    asked = PlanRequest(ref=entry.ref, context_tokens=4096, parallel=2, kv_type="q8_0")
    plan = await client.machine.plan(asked)
    assert plan.verdict in ("gpu", "gpu+ram")
    how = LoadRequest(context_tokens=4096, parallel=2, kv_type_k="q8_0", kv_type_v="q8_0")
    state = await load(client, entry.ref, how)
    assert state.context_tokens == 4096
    slot = live.house.engines._slots[entry.ref]
    planned = {
        d.engine_device: d.parts.total - d.parts.reserve for d in plan.devices if d.used_bytes
    }
    held = slot.held_bytes()
    assert planned["CPU"] == pytest.approx(held["CPU"], rel=0.02)

    words = ["plan", str(tiny_model()), "--context", "4096", "--parallel", "2", "--kv", "q8_0"]
    assert await asyncio.to_thread(main, [*words, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    ram = next(device for device in document["devices"] if device["name"] == "RAM")
    shown = next(device for device in plan.devices if device.name == "RAM")
    for name in ("attention", "experts", "shared_experts", "kv_cache", "compute"):
        assert ram["parts"][name] == getattr(shown.parts, name)


async def test_a_model_of_half_a_terabyte_is_refused_with_ways_out(
    server: tuple[LiveServer, HttpClient], tmp_path: Path
) -> None:
    _, client = server
    entry = await client.import_model(str(kimi_k2(tmp_path, "Q4_K_M")))
    with pytest.raises(AppError) as caught:
        await load(client, entry.ref)
    assert caught.value.code == "does_not_fit"
    assert len(caught.value.detail["ways_out"]) == 3  # type: ignore[arg-type]
    assert caught.value.detail["needed_bytes"] > 600e9  # type: ignore[operator]
