"""From a search to a chat in the window, with every process real and the hub a double."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PySide6.QtGui import QImage

from doubles.displays import VirtualDisplay, screenshot
from doubles.hub import Hub, HubRepo, running_hub
from doubles.models import ending_model
from doubles.program import Program

pytestmark = [pytest.mark.e2e, pytest.mark.xvfb, pytest.mark.engine]

REPO = "ada/Tiny-Kimi-GGUF"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running_hub() as hub:
        hub.add(
            HubRepo(
                REPO,
                files={"tiny-kimi-Q8_0.gguf": ending_model(), "tiny-kimi-BF16.gguf": 9 * 10**14},
                card="# Tiny Kimi\n\nA *random* model for tests.",
                architecture="deepseek2",
                downloads=4321,
            )
        )
        yield hub


def end_server(folder: Path) -> None:
    try:
        pid = int(json.loads((folder / "state" / "server.json").read_text())["pid"])
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and Path(f"/proc/{pid}").exists():
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
            time.sleep(0.05)
    except (OSError, ValueError):
        return


@pytest.fixture
def window(virtual_display: VirtualDisplay, data_folder: Path, hub: Hub) -> Iterator[Program]:
    environment = {
        **virtual_display.environment,
        "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent",
        "HF_ENDPOINT": hub.url,
    }
    program = Program("doubles.desktop_app", environment, "--real")
    try:
        assert program.read(90) == "ready"
        yield program
    finally:
        program.end()
        end_server(data_folder)


def test_search_fit_download_pause_resume_and_chat(
    window: Program, hub: Hub, virtual_display: VirtualDisplay, data_folder: Path, tmp_path: Path
) -> None:
    folder = Path(os.environ.get("FREEHOLD_ARTIFACTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)

    def picture(name: str) -> None:
        for theme in ("dark", "light"):
            assert window.do(f"theme {theme}") is True
            shot = screenshot(virtual_display, folder / f"{name}-{theme}.png")
            assert not QImage(str(shot)).isNull()

    assert window.do("find Tiny", 60) == [REPO]
    picture("find")
    assert window.do(f"open {REPO}", 60) == ["Q8_0", "BF16"]
    label, reason = window.do("fit Q8_0")
    assert label in ("Fits in memory", "Fits in GPU memory")
    assert reason
    assert window.do("fit BF16")[0] == "Will not run here"
    assert "8 of 384 experts" in window.do("details Q8_0", 60)
    picture("repository")

    hub.faults.add("slow", rate=120_000, times=1000)  # slow enough to be looked at
    assert window.do("limit 50") is True
    assert window.do("download Q8_0", 60) is True
    window.until(lambda: "left" in window.do("downloads")[0]["words"], 30)
    (row,) = window.do("downloads")
    assert row["state"] == "running"
    assert "done about" in row["words"]
    picture("downloading")
    assert window.do("press pause") is True
    window.until(lambda: window.do("downloads")[0]["chip"] == "Paused", 20)
    (paused,) = window.do("downloads")
    assert 0 < paused["done_bytes"] < paused["total_bytes"]
    assert 0 < paused["bar"] < 1000

    # What the server tells the command line is what the page shows.
    address = json.loads((data_folder / "state" / "server.json").read_text())
    key = (data_folder / "state" / "key").read_text().strip()
    told = httpx.get(
        f"http://127.0.0.1:{address['port']}/freehold/v1/library/downloads",
        headers={"authorization": f"Bearer {key}"},
    ).json()
    assert [d["done_bytes"] for d in told] == [paused["done_bytes"]]
    picture("paused")

    hub.faults.clear()
    assert window.do("limit 0") is True
    assert window.do("press resume") is True
    window.until(lambda: window.do("downloads")[0]["chip"] == "Ready", 60)
    picture("ready")
    (done,) = window.do("downloads")
    assert done["ref"] == f"{REPO}:Q8_0"
    assert window.do("press chat") is True
    window.until(lambda: window.do("state")["page"] == "chats", 10)
    assert window.do("ask Who are you?", 90) is True
    state = window.do("state")
    assert state["statuses"] == ["complete", "complete"]
    assert state["messages"][1].strip()
    assert done["ref"] in state["loaded"]
    picture("chat")
