"""`freehold pull` of 33 shards from the hub double, with everything killed again and again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from doubles.hub import Hub, HubRepo, running_hub
from doubles.sharded import write_shards

pytestmark = pytest.mark.e2e

REPO = "ada/big-kimi-GGUF"
KILLS = 10


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running_hub() as hub:
        yield hub


def environment(hub: Hub, folder: Path) -> dict[str, str]:
    return {**os.environ, "FREEHOLD_DATA": str(folder), "HF_ENDPOINT": hub.url, "HF_TOKEN": ""}


def freehold(hub: Hub, folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "freehold", *words],
        env=environment(hub, folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def server_pid(folder: Path) -> int | None:
    try:
        return int(json.loads((folder / "state" / "server.json").read_text())["pid"])
    except (OSError, ValueError, KeyError):
        return None


def kill_server(folder: Path) -> None:
    pid = server_pid(folder)
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
            threading.Event().wait(0.01)


def first_bytes(process: subprocess.Popen[str], beyond: int) -> dict[str, object]:
    """Read progress until more than `beyond` bytes are there."""
    assert process.stdout is not None
    for line in process.stdout:
        step = json.loads(line)
        if step["done_bytes"] > beyond or step["phase"] == "done":
            return dict(step)
    assert process.stderr is not None
    raise AssertionError(process.stderr.read())


@pytest.mark.allow_leaks("the server that pull starts outlives it; it is ended at the end")
def test_a_pull_of_33_shards_survives_ten_kills(hub: Hub, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    files = write_shards(source, 33, padding_bytes=2_000_000)
    hub.add(HubRepo(REPO, {path.name: path for path in files}))
    total = sum(path.stat().st_size for path in files)
    folder = tmp_path / "data"
    (folder / "config").mkdir(parents=True)
    # Slow enough that every kill comes in the middle.
    (folder / "config" / "settings.toml").write_text("download_limit_mb_per_s = 12\n")
    dice = random.Random(33)
    seen = 0
    try:
        for _ in range(KILLS):
            pull = freehold(hub, folder, "pull", f"{REPO}:Q8_0", "--json")
            step = first_bytes(pull, seen + dice.randrange(500_000, 4_000_000))
            assert step["phase"] != "done"
            assert int(str(step["done_bytes"])) < total
            kill_server(folder)
            os.killpg(pull.pid, signal.SIGKILL)
            pull.communicate(timeout=20)
            kept = on_disk(folder)
            assert kept <= total
            seen = kept
            listed = models(hub, folder)
            assert [m for m in listed if m["ready"] and m["origin"] != "bundled"] == [], (
                "half a model is no model"
            )
        (folder / "config" / "settings.toml").write_text("download_limit_mb_per_s = 0\n")
        pull = freehold(hub, folder, "pull", f"{REPO}:Q8_0", "--json")
        out, err = pull.communicate(timeout=120)
        assert pull.returncode == 0, err
        lines = [json.loads(line) for line in out.splitlines()]
        assert lines[-1]["phase"] == "done"
        assert lines[-1]["done_bytes"] == lines[-1]["total_bytes"] == total
        assert all(
            {"phase", "file", "done_bytes", "total_bytes", "bytes_per_s", "eta_s"} <= set(line)
            for line in lines
        )
        for path in files:
            arrived = folder / "data" / "models" / REPO / path.name
            assert digest(arrived) == digest(path)
        (model,) = [m for m in models(hub, folder) if m["origin"] == "downloaded"]
        assert model["ready"]
        assert model["ref"] == f"{REPO}:Q8_0"
        assert model["shards"] == 33
        check = freehold(hub, folder, "verify", f"{REPO}:Q8_0", "--json")
        out, err = check.communicate(timeout=60)
        assert json.loads(out)["ok"], err
        damage(folder / "data" / "models" / REPO / files[7].name)
        check = freehold(hub, folder, "verify", f"{REPO}:Q8_0", "--json")
        out, _ = check.communicate(timeout=60)
        assert check.returncode == 1
        assert [f["ok"] for f in json.loads(out)["files"]].count(False) == 1
    finally:
        kill_server(folder)


def on_disk(folder: Path) -> int:
    """Return the bytes that journals and finished files hold."""
    from freehold.library.download.journal import peek

    total = 0
    for path in (folder / "data" / "models").rglob("*"):
        if path.name.endswith(".gguf"):
            total += path.stat().st_size
        elif path.name.endswith(".journal"):
            total += sum(what.bytes for what in peek(path)[0].values())
    return total


def models(hub: Hub, folder: Path) -> list[dict[str, object]]:
    process = freehold(hub, folder, "models", "--json")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return list(json.loads(out))


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def damage(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-10, os.SEEK_END)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))


def test_search_show_and_their_errors(hub: Hub, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    files = write_shards(source, 3)
    hub.add(HubRepo(REPO, {path.name: path for path in files}))

    def run(*words: str) -> tuple[int, str, str]:
        process = freehold(hub, tmp_path / "data", *words)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    code, out, _ = run("search", "kimi", "--json")
    assert (code, [m["repository"] for m in json.loads(out)]) == (0, [REPO])
    code, out, _ = run("search")
    assert code == 0
    assert "Kimi-K2" in out
    code, out, _ = run("show", REPO)
    assert code == 0
    assert "Q8_0" in out
    assert "3 files" in out
    code, out, _ = run("show", f"{REPO}:Q8_0", "--json")
    assert json.loads(out)["experts"] == 384
    code, out, err = run("show", "no/body")
    assert (code, out) == (1, "")
    assert err.startswith("freehold: There is no repository called no/body")
    assert err.count("\n") == 1
    code, _, err = run("show", "../../etc/passwd")
    assert code == 1
    assert "not the name of a repository" in err
