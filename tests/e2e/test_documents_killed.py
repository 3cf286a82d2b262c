"""A real server with documents: killed while it indexes it goes on; two chats share a prompt."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from doubles.document_files import ENGLISH, put
from doubles.document_world import World
from doubles.models import ending_model
from freehold.client.http import HttpClient

pytestmark = [pytest.mark.e2e, pytest.mark.engine]

START_LIMIT_S = 60.0
FILES = 6


@contextlib.asynccontextmanager
async def serving(folder: Path, *, end: signal.Signals) -> AsyncIterator[World]:
    """Run `freehold serve`; end it with a signal."""
    address = folder / "state" / "server.json"
    address.unlink(missing_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "freehold", "serve"],
        env={**os.environ, "FREEHOLD_DATA": str(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(START_LIMIT_S):
            while not address.exists():
                assert process.poll() is None
                await asyncio.sleep(0.05)
        port = json.loads(address.read_text())["port"]
        key = (folder / "state" / "key").read_text().strip()
        client = HttpClient(f"http://127.0.0.1:{port}", key)
        try:
            yield World(client, None)
        finally:
            await client.close()
    finally:
        process.send_signal(end)
        await asyncio.to_thread(process.wait, 30)


async def test_killed_while_indexing_then_asked_twice(tmp_path: Path) -> None:
    papers = tmp_path / "papers"
    papers.mkdir()
    for number in range(FILES):
        text = "".join(f"Line {n} of file {number} is about gardens.\n\n" for n in range(5))
        put(papers, f"{number}.md", text.encode())
    house = tmp_path / "house"
    async with serving(house, end=signal.SIGKILL) as world:
        made = await world.client.create_collection("Gardens", [str(papers)])
        async with asyncio.timeout(30):
            now = made
            while not now.passages:
                now = await world.client.collection(made.id)
        assert now.phase in ("reading", "embedding")
    async with serving(house, end=signal.SIGTERM) as world:
        again = await world.client.collection(made.id)
        assert again.passages >= now.passages  # what was read is not read again
        ready = await world.until_phase(made.id, "ready")
        assert (ready.files, ready.failed) == (FILES, 0)
        assert ready.embedded == ready.passages >= FILES
        assert ready.embedder
        await _ask_in_two_chats(world, put(tmp_path, "lease.txt", (ENGLISH * 8).encode()))


async def _ask_in_two_chats(world: World, path: Path) -> None:
    """The document's part of the prompt is computed once, whichever chat asks."""
    model = (await world.whole.import_model(str(ending_model()))).ref
    document_id = await world.read(path)
    stats = []
    for question in ("What is the rent?", "When is it due?"):
        chat = await world.whole.create_chat(model_ref=model)
        await world.whole.update_chat(chat.id, sampling={"max_tokens": 16})
        await world.client.set_chat(chat.id, documents=[document_id])
        reply = await world.ask_chat(chat.id, question)
        assert reply.error is None
        assert reply.grounds is not None
        assert reply.grounds.mode == "whole"
        assert reply.stats is not None
        stats.append((reply.stats, reply.grounds))
    (first, grounds), (second, _) = stats
    assert first.cached_tokens < 0.2 * first.prompt_tokens
    assert second.cached_tokens >= grounds.document_tokens
    assert second.prompt_tokens - second.cached_tokens < 0.15 * second.prompt_tokens
