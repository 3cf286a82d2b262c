"""`freehold docs ask` with real processes: server, parser, engine, and the bundled embedder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from doubles.document_files import ENGLISH, make_docx, make_pdf, put
from doubles.models import ending_model

pytestmark = [pytest.mark.e2e, pytest.mark.engine]

QUESTION = "How much is the yearly rent?"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    file = tmp_path / "data" / "state" / "server.json"
    if file.exists():  # the server that the command started
        server = psutil.Process(json.loads(file.read_text())["pid"])
        server.send_signal(signal.SIGTERM)
        server.wait(20)


def docs_ask(folder: Path, *words: object) -> tuple[int, Any, str]:
    """Run the command; return its exit status, its JSON and what it said on stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "freehold", "docs", "ask", *map(str, words), "--json"],
        env={**os.environ, "FREEHOLD_DATA": str(folder / "data")},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    return done.returncode, json.loads(done.stdout), done.stderr


def test_whole_then_cached_then_searched(folder: Path) -> None:
    lease = put(folder, "lease.pdf", make_pdf())
    broken = put(folder, "broken.xlsx", b"PK\x03\x04 nothing more")
    model = ("--model", ending_model())
    status, first, said = docs_ask(
        folder, lease, put(folder, "a.docx", make_docx()), broken, "--question", QUESTION, *model
    )
    assert status == 0, said
    assert {"answer", "mode", "citations"} <= first.keys()
    assert (first["mode"], first["passages"]) == ("whole", 2)
    assert first["failed"][0]["detail"]["file"] == "broken.xlsx"
    assert "broken.xlsx" in said

    # The document part of the prompt is computed once.
    status, second, said = docs_ask(
        folder, lease, folder / "a.docx", "--question", "And the pipe?", *model
    )
    assert status == 0, said
    assert second["cached_tokens"] > 0.9 * (second["prompt_tokens"] - 30)

    filler = "".join(f"Paragraph {n} is about gardens and their fences.\n\n" for n in range(1500))
    long = put(folder, "long.md", (filler + ENGLISH + "\n\n" + filler).encode())
    status, third, said = docs_ask(folder, long, "--question", QUESTION, *model)
    assert status == 0, said
    assert third["mode"] == "searched"
    assert third["document_tokens"] > third["free_tokens"]
    assert 1 <= third["passages"] <= 14

    status, refused, said = docs_ask(folder, broken, "--question", QUESTION, *model)
    assert status == 1
    assert refused["error"]["code"] == "invalid_document"
    assert "broken.xlsx" in said
    _assert_nothing_left(folder)


def _assert_nothing_left(folder: Path) -> None:
    state = folder / "data" / "state"
    address = json.loads((state / "server.json").read_text())
    headers = {"x-api-key": (state / "key").read_text().strip()}
    url = f"http://127.0.0.1:{address['port']}/freehold/v1/documents"
    assert httpx.get(url, headers=headers, trust_env=False).json() == []
