"""The session: snapshot, stream, gaps, broken lines."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from doubles.client import FakeClient, error_info
from doubles.waiting import until
from freehold.errors import AppError
from freehold.ui.state.session import Session
from freehold.wire import EngineChanged, EngineState, ModelEntry, Notice

MODEL = ModelEntry(
    ref="tiny", name="Tiny", arch="llama", bytes=10, path="/m/t.gguf", origin="imported", ready=True
)


class Heard:
    """How often each signal of a session came."""

    def __init__(self, session: Session) -> None:
        self.names: list[str] = []
        self.errors: list[AppError] = []
        for name in ("connected", "state_changed", "models_changed", "engines_changed"):
            getattr(session, name).connect(lambda name=name: self.names.append(name))
        session.settings_changed.connect(lambda: self.names.append("settings_changed"))
        session.disconnected.connect(self.errors.append)

    def count(self, name: str) -> int:
        return self.names.count(name)


@pytest_asyncio.fixture
async def client() -> AsyncIterator[FakeClient]:
    client = FakeClient(models=(MODEL,))
    yield client
    await client.close()


@pytest_asyncio.fixture
async def session(client: FakeClient) -> AsyncIterator[Session]:
    session = Session(client, retry_s=(0.01,))
    yield session
    await session.stop()


async def test_snapshot_then_events(client: FakeClient, session: Session) -> None:
    heard = Heard(session)
    session.start()
    await until(lambda: session.is_connected)
    assert [m.ref for m in session.models] == ["tiny"]
    await client.load_model("tiny")
    await until(lambda: session.engines and session.engines[0].phase == "ready")
    await client.unload_model("tiny")
    await until(lambda: not session.engines)
    assert heard.count("models_changed") == 1
    assert heard.count("connected") == 1
    assert len(client.called("state")) == 1


async def test_signals_only_on_change(client: FakeClient, session: Session) -> None:
    session.start()
    await until(lambda: session.is_connected)
    heard = Heard(session)
    engine = EngineState(ref="tiny", phase="ready")
    client.push(EngineChanged(ref="tiny", engine=engine))
    client.push(EngineChanged(ref="tiny", engine=engine))
    client.push(Notice(level="info", error=error_info(AppError("busy", "B."))))
    seen: list[object] = []
    session.notice_received.connect(seen.append)
    await until(lambda: seen)
    assert heard.names == ["engines_changed", "state_changed"]


async def test_a_gap_reads_the_state_again_without_a_disconnect(
    client: FakeClient, session: Session
) -> None:
    session.start()
    await until(lambda: session.is_connected)
    heard = Heard(session)
    client.engines["tiny"] = EngineState(ref="tiny", phase="ready")
    client.skip_seq(3)
    client.push(EngineChanged(ref="other", engine=None))
    await until(lambda: session.engines)
    assert heard.errors == []
    assert heard.count("connected") == 0


async def test_a_broken_line_is_told_once_and_mended(client: FakeClient, session: Session) -> None:
    session.start()
    await until(lambda: session.is_connected)
    heard = Heard(session)
    before = len(client.called("hello"))
    client.go_offline()
    await until(lambda: len(client.called("hello")) >= before + 3)
    assert [e.code for e in heard.errors] == ["server_unreachable"]
    assert not session.is_connected
    assert session.models  # what was known stays on the screen
    client.go_online(restarted=True)
    await until(lambda: session.is_connected)
    assert session.last_error is None
    await client.load_model("tiny")
    await until(lambda: session.engines)


async def test_changed_models_are_read_again_and_loading_survives(
    client: FakeClient, session: Session
) -> None:
    session.start()
    await until(lambda: session.is_connected)
    client.hold_loads = True
    await client.load_model("tiny")
    await client.import_model("/models/new.gguf")
    await until(lambda: len(session.models) == 2)
    assert [e.phase for e in session.engines] == ["loading"]


async def test_typing_before_there_is_a_server_names_the_cause() -> None:
    async def never() -> FakeClient:
        raise AppError("server_unreachable", "Not there.", "Wait.")

    session = Session(connect=never, retry_s=(0.01,))
    with pytest.raises(AppError, match="still starting"):
        _ = session.client
    heard = Heard(session)
    session.start()
    await until(lambda: heard.errors)
    assert heard.errors[0].message == "Not there."
    await session.stop()


async def test_each_reconnect_asks_for_the_server_again_and_closes_the_old_line() -> None:
    made: list[FakeClient] = []

    async def connect() -> FakeClient:
        made.append(FakeClient(models=(MODEL,)))
        return made[-1]

    session = Session(connect=connect, retry_s=(0.01,))
    session.start()
    await until(lambda: session.is_connected)
    made[0].go_offline()
    await until(lambda: len(made) == 2 and session.is_connected)
    assert made[0].closed
    await session.stop()
    assert made[1].closed


async def test_another_api_version_is_refused_with_both_numbers(client: FakeClient) -> None:
    class Newer(FakeClient):
        async def hello(self):  # type: ignore[no-untyped-def]
            import msgspec

            return msgspec.structs.replace(await super().hello(), api=9)

    newer = Newer()
    session = Session(newer, retry_s=(0.01,))
    heard = Heard(session)
    session.start()
    await until(lambda: heard.errors)
    assert "version 9" in heard.errors[0].message
    await session.stop()


async def test_switched_off_stays_off_until_asked(client: FakeClient, session: Session) -> None:
    session.start()
    await until(lambda: session.is_connected)
    await session.switch_off()
    await until(lambda: not session.is_connected)
    asked = len(client.called("hello"))
    client.go_online(restarted=True)
    await until(lambda: session.is_paused)
    assert len(client.called("hello")) == asked
    session.retry_now()
    await until(lambda: session.is_connected)
