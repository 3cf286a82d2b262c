"""`freehold load` follows the load it asked for, not the end of the engine before it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from freehold.client.protocol import Client
from freehold.commands.load import wait_ready
from freehold.errors import AppError
from freehold.wire import EngineChanged, EngineState, Envelope, ErrorInfo

REF = "some-model:Q4_0"


class _Now:
    """What `state` answers, as far as it is read."""

    def __init__(self, seq: int, *engines: EngineState) -> None:
        self.seq, self.engines = seq, engines


class Replaying:
    """A server whose whole event stream is known; it goes on after any place in it."""

    def __init__(self, now: _Now, *states: EngineState | None) -> None:
        self._now = now
        self._events = [EngineChanged(ref=REF, engine=state) for state in states]

    async def state(self) -> _Now:
        return self._now

    async def events(self, after: int) -> AsyncIterator[Envelope]:
        for seq, event in enumerate(self._events, start=1):
            if seq > after:
                yield Envelope(seq=seq, event=event)


def engine(phase: Any, error: ErrorInfo | None = None) -> EngineState:
    return EngineState(ref=REF, phase=phase, error=error)


async def follow(server: Replaying) -> EngineState:
    return await wait_ready(cast(Client, server), REF, show=lambda _state: None)


async def test_the_end_of_the_engine_before_is_not_taken_for_the_outcome() -> None:
    why = ErrorInfo(code="invalid_request", message="A context of 9 was asked for.", hint="Less.")
    server = Replaying(
        _Now(3, engine("loading")),
        engine("unloading"),
        None,
        engine("loading"),
        engine("failed", why),
    )
    with pytest.raises(AppError) as failed:
        await follow(server)
    assert failed.value.sentence == "A context of 9 was asked for. Less."


async def test_a_model_unloaded_while_one_waits_is_named() -> None:
    for phase in (engine("unloading"), None):
        with pytest.raises(AppError) as failed:
            await follow(Replaying(_Now(1, engine("loading")), engine("loading"), phase))
        assert failed.value.code == "cancelled"
        assert REF in failed.value.message


async def test_a_load_that_is_over_already_is_not_waited_for() -> None:
    assert (await follow(Replaying(_Now(9, engine("ready"))))).phase == "ready"
