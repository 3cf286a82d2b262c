"""After everything that can go wrong, no prompt, answer or key is in any log (T33)."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import httpx
import pytest

from doubles.engine import Crash, FakeEngine, say
from doubles.rawhttp import exchange
from doubles.server import FakeModels, fake_house, live_server
from freehold.server.main import log_to_file

PROMPT = "canary-prompt-7f3a"
ANSWER = "canary-answer-91bc"
WRONG_KEY = "canary-key-55de"


@pytest.mark.allow_logs("the engine of .* crashed")
def test_canaries_reach_no_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    log_file = tmp_path / "server.log"
    log_to_file(log_file)
    root.setLevel(logging.DEBUG)
    models = FakeModels()
    try:
        with live_server(lambda: fake_house(tmp_path / "house", models)) as server:
            key = server.key
            headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
            messages = [{"role": "user", "content": PROMPT}]
            models.make = lambda: FakeEngine(say(ANSWER, Crash()))
            with httpx.Client(base_url=server.url, headers=headers) as client:
                for body in (
                    {"model": "tiny", "messages": messages},
                    {"model": "tiny", "messages": messages, "stream": True},
                    {"model": PROMPT, "messages": messages},
                    {"model": "tiny", "messages": messages, "temperature": PROMPT},
                    {"model": "tiny", "prompt": PROMPT},
                ):
                    client.post("/v1/chat/completions", content=json.dumps(body))
                client.post("/v1/chat/completions", content=f'{{"messages": "{PROMPT}'.encode())
                client.get(f"/v1/models/{PROMPT}")
                client.get("/v1/models", headers={"x-api-key": WRONG_KEY})
            exchange(server.port, f"BROKEN {PROMPT}\r\n\r\n")
    finally:
        for handler in set(root.handlers) - set(before):
            root.removeHandler(handler)
            handler.close()
        root.setLevel(level)
    written = log_file.read_text() + caplog.text
    assert "crashed" in written  # the log was at work
    for secret in (PROMPT, ANSWER, WRONG_KEY, key):
        assert secret not in written
    assert log_file.stat().st_mode & 0o077 == 0
