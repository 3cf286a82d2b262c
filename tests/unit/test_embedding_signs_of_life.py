"""An embedding request that comes while nothing else runs wakes the thread of the signs of life:
asleep, it would give none, and an engine that embeds for long would be taken for dead."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace
from typing import Any

from freehold.engine.decode_loop import DecodeLoop
from freehold.engine.preparation import EmbedJob


def test_an_embedding_request_wakes_the_emitter() -> None:
    woken: list[bool] = []
    loop: Any = DecodeLoop.__new__(DecodeLoop)
    loop._inbox = deque([EmbedJob(id="e", inputs=([1, 2],))])
    loop._embedding = deque()
    loop._emitter = SimpleNamespace(wake=lambda: woken.append(bool(loop._embedding)))
    loop._take_inbox()
    assert woken == [True]
