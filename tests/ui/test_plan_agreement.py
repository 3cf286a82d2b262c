"""`freehold plan` and the load dialog give one answer, and the engine is loaded by it."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from doubles.models import tiny_model
from doubles.server import FakeLibrary, LiveServer, fake_entry, fake_paths
from doubles.waiting import until
from freehold.client.http import HttpClient
from freehold.commands import plan as command
from freehold.engine.process import ProcessEngine
from freehold.server.wiring import build_house
from freehold.ui.machine.load_dialog import LoadDialog
from freehold.ui.state.models import ModelsState
from freehold.ui.state.session import Session
from freehold.ui.theme import Theme
from freehold.wire import LoadRequest
from freehold.wire_machine import Parts, Plan

pytestmark = pytest.mark.engine


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[LiveServer]:
    library = FakeLibrary([fake_entry("tiny", path=str(tiny_model()), context_tokens=32_768)])
    live = LiveServer(
        lambda: build_house(fake_paths(tmp_path), library=library, make_engine=ProcessEngine)
    )
    await asyncio.to_thread(live.start)
    yield live
    await asyncio.to_thread(live.stop)


def values(plan: Plan) -> dict[str, object]:
    """Everything but what other programs and the clock change between two looks."""
    return {
        "verdict": plan.verdict,
        "context": plan.context_tokens,
        "parallel": plan.parallel,
        "kv": plan.kv_type,
        "load": plan.load,
        "exact": plan.exact,
        "reasons": plan.reasons,
        "needed": plan.needed_bytes,
        "devices": [
            (d.kind, d.layers, d.expert_layers, {n: getattr(d.parts, n) for n in _PARTS})
            for d in plan.devices
        ],
    }


_PARTS = [name for name in Parts.__struct_fields__ if name != "reserve"]


async def test_command_and_dialog_agree_and_the_engine_does_as_they_say(
    server: LiveServer, theme: Theme, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    client = HttpClient(server.url, server.key)
    session = Session(client, retry_s=(0.01,))
    session.start()
    await until(lambda: session.is_connected, timeout_s=20)
    models = ModelsState(session, session)
    row = models.row("tiny")
    assert row is not None
    loads: list[LoadRequest] = []
    dialog = LoadDialog(session, row, theme, lambda _ref, how: loads.append(how))
    dialog.show()
    await until(lambda: dialog.setup.setup is not None, timeout_s=20)
    dialog.choices.context.show_value("8192")
    dialog.choices.parallel.setValue(2)
    dialog.choices.kv_type.show_value("q8_0")
    dialog.choices.changed.emit()
    await until(
        lambda: (
            not dialog.plan.is_waiting
            and dialog.plan.plan is not None
            and dialog.plan.plan.kv_type == "q8_0"
        ),
        timeout_s=30,
    )
    shown = dialog.plan.plan
    assert shown is not None
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    args = parser.parse_args(
        [str(tiny_model()), "--context", "8192", "--parallel", "2", "--kv", "q8_0"]
    )
    monkeypatch.setenv("FREEHOLD_DATA", str(tmp_path / "other"))
    printed = await command._plan(args)
    assert values(printed) == values(shown)
    dialog.accept_button.click()
    await client.load_model("tiny", loads[0])
    house = server.house
    await asyncio.to_thread(server.call, lambda: house.engines.wait_loaded("tiny"))
    buffers = house.engines._slots["tiny"].info.buffers["CPU"]  # type: ignore[union-attr]
    parts = shown.devices[0].parts
    assert (parts.weights, parts.kv_cache, parts.compute) == (
        buffers["model"], buffers["context"], buffers["compute"],
    )  # fmt: skip
    await session.stop()
    await client.close()
