"""The window's line to a server: a snapshot, then the stream of events, again when it breaks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from typing import Final
from urllib.parse import urlsplit

import msgspec
from PySide6.QtCore import QObject, Signal

from freehold.client.protocol import Client
from freehold.errors import AppError
from freehold.ui.tasks import spawn
from freehold.wire import (
    API_VERSION,
    AnyEvent,
    Changed,
    EngineChanged,
    EngineState,
    Envelope,
    ModelEntry,
    Notice,
    Resync,
    ServerInfo,
    Settings,
    State,
)

log = logging.getLogger(__name__)

# The last waits are long: a server that cannot start must not be started all day.
RETRY_S: Final = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
LOCAL_HOSTS: Final = ("127.0.0.1", "localhost", "::1")

Connect = Callable[[], Awaitable[Client]]


class Session(QObject):
    """What the window knows of the server, kept current.

    Signals:
        connected: the snapshot is there and events follow (again).
        disconnected(AppError): the line broke; it is tried again by itself.
        state_changed: any part of the state changed (also models, engines, settings).
        models_changed, engines_changed, settings_changed: that part changed.
        event_received(event): every event, in order, after the state took it in.
        notice_received(Notice): something to show as a banner.
        error_raised(AppError): an action failed and no page was there to show it.
    """

    connected = Signal()
    disconnected = Signal(object)
    state_changed = Signal()
    models_changed = Signal()
    engines_changed = Signal()
    settings_changed = Signal()
    event_received = Signal(object)
    notice_received = Signal(object)
    error_raised = Signal(object)

    def __init__(
        self,
        client: Client | None = None,
        *,
        connect: Connect | None = None,
        retry_s: Sequence[float] = RETRY_S,
        parent: QObject | None = None,
    ) -> None:
        """Make a session on `client`, or on what `connect` finds or starts each time."""
        super().__init__(parent)
        if client is None and connect is None:
            raise ValueError("a session needs a client or a way to get one")
        self._client = client
        self._connect = connect
        self._retry_s = tuple(retry_s)
        self._state: State | None = None
        self._connected = False
        self._last_error: AppError | None = None
        self._attempt = 0
        self._paused = False
        self._retry = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._refresh: asyncio.Task[None] | None = None
        self._stale = False

    # --- what is known -------------------------------------------------------------------

    @property
    def client(self) -> Client:
        """Return the client; raises `server_unreachable` while the server is being started."""
        if self._client is None:
            raise AppError(
                "server_unreachable",
                "The Freehold server is still starting.",
                "What you typed is kept; try again in a moment.",
                retryable=True,
            )
        return self._client

    @property
    def state(self) -> State | None:
        """Return the last snapshot with the events since, or None before the first."""
        return self._state

    @property
    def is_connected(self) -> bool:
        return self._connected

    @property
    def is_local(self) -> bool:
        """Return whether the server runs on this machine, so that file paths mean the same."""
        if self._client is None:
            return True
        return urlsplit(self._client.base_url).hostname in LOCAL_HOSTS

    @property
    def is_paused(self) -> bool:
        """Return whether the person switched the server off."""
        return self._paused

    @property
    def last_error(self) -> AppError | None:
        """Return why the line is broken, None while it holds."""
        return self._last_error

    @property
    def models(self) -> tuple[ModelEntry, ...]:
        return self._state.models if self._state else ()

    @property
    def engines(self) -> tuple[EngineState, ...]:
        return self._state.engines if self._state else ()

    @property
    def settings(self) -> Settings:
        return self._state.settings if self._state else Settings()

    @property
    def server(self) -> ServerInfo | None:
        return self._state.server if self._state else None

    # --- what can be asked of it ---------------------------------------------------------

    def start(self) -> None:
        """Connect and stay connected."""
        if self._task is None:
            self._task = spawn(self, self._run(), name="session")

    async def stop(self) -> None:
        """Let go of the server; it goes on."""
        tasks = [task for task in (self._task, self._refresh) if task is not None]
        self._task = self._refresh = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.close()

    def retry_now(self) -> None:
        """Try to connect at once instead of after the back-off."""
        self._attempt = 0
        self._paused = False
        self._retry.set()

    async def switch_off(self) -> None:
        """End the server and stay off until `retry_now`."""
        self._paused = True
        try:
            await self.client.shut_down()
        except AppError:
            self._paused = False
            raise

    def show_error(self, error: AppError) -> None:
        """Hand an error of a view-model to whoever shows errors."""
        self.error_raised.emit(error)

    def refresh(self) -> None:
        """Read the state again, once, however often this is asked meanwhile."""
        if self._task is None:
            return
        self._stale = True
        if self._refresh is None or self._refresh.done():
            self._refresh = spawn(self, self._refresh_loop(), failed=self._refresh_failed)

    def take_settings(self, settings: Settings) -> None:
        """Take in settings the server has just answered, before its event comes."""
        if self._state is not None:
            self._set_state(msgspec.structs.replace(self._state, settings=settings))

    # --- the loop ------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            try:
                await self._follow()
            except AppError as error:
                self._lose(error)
            await self._wait()

    async def _wait(self) -> None:
        wait_s = None if self._paused else self._retry_s[min(self._attempt, len(self._retry_s) - 1)]
        self._attempt += 1
        self._retry.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._retry.wait(), wait_s)

    async def _follow(self) -> None:
        """Connect, read the snapshot and follow the events until the line breaks."""
        if self._connect is not None and not self._connected:
            await self._replace_client(await self._connect())
        hello = await self.client.hello()
        if hello.api != API_VERSION:
            raise AppError(
                "not_supported",
                f"The server speaks version {hello.api} of Freehold's API, this window"
                f" version {API_VERSION}.",
                "Bring both to the same version of Freehold.",
            )
        while True:
            state = await self.client.state()
            self._take_snapshot(state)
            async with contextlib.aclosing(_closable(self.client.events(state.seq))) as events:
                if not await self._take_events(events, state.seq):
                    return

    async def _take_events(self, events: AsyncIterator[Envelope], seq: int) -> bool:
        """Apply events; return whether the snapshot must be read again (False: stream ended)."""
        async for envelope in events:
            if isinstance(envelope.event, Resync) or envelope.seq != seq + 1:
                self.event_received.emit(Resync())  # what is shown of chats must be read again
                return True
            seq = envelope.seq
            self._take(envelope.event)
        return False

    async def _replace_client(self, client: Client) -> None:
        old, self._client = self._client, client
        if old is not None and old is not client:
            await old.close()

    def _take_snapshot(self, state: State) -> None:
        fresh, first = not self._connected, self._state is None
        self._connected, self._last_error, self._attempt = True, None, 0
        self._set_state(state)
        if fresh:
            self.connected.emit()
        if not first:
            # Events may have been missed; whoever keeps more than the state reads again.
            self.event_received.emit(Resync())

    def _lose(self, error: AppError) -> None:
        known = self._last_error
        told = not self._connected and known is not None and known.sentence == error.sentence
        self._connected, self._last_error = False, error
        if self._state is not None and self._state.engines:
            self._set_state(msgspec.structs.replace(self._state, engines=()))
        if not told:
            self.disconnected.emit(error)

    def _take(self, event: AnyEvent) -> None:
        if isinstance(event, EngineChanged):
            self._take_engine(event)
        elif isinstance(event, Changed) and event.topic in ("models", "settings", "server"):
            self.refresh()
        elif isinstance(event, Notice):
            self.notice_received.emit(event)
        self.event_received.emit(event)

    def _take_engine(self, event: EngineChanged) -> None:
        if self._state is None:
            return
        by_ref = {engine.ref: engine for engine in self._state.engines}
        if event.engine is None:
            by_ref.pop(event.ref, None)
        else:
            by_ref[event.ref] = event.engine
        self._set_state(msgspec.structs.replace(self._state, engines=tuple(by_ref.values())))

    async def _refresh_loop(self) -> None:
        while self._stale:
            self._stale = False
            state = await self.client.state()
            if self._state is not None:
                # Engines come from the events alone, which this answer may have overtaken.
                state = msgspec.structs.replace(state, engines=self._state.engines)
            self._set_state(state)

    def _refresh_failed(self, error: AppError) -> None:
        # A broken line shows itself in the event stream, which reads the state again.
        log.info("state not refreshed: %s", error.code)

    def _set_state(self, state: State) -> None:
        old, self._state = self._state, state
        if old is None or old.models != state.models:
            self.models_changed.emit()
        if old is None or old.engines != state.engines:
            self.engines_changed.emit()
        if old is None or old.settings != state.settings:
            self.settings_changed.emit()
        if old != state:
            self.state_changed.emit()


async def _closable(events: AsyncIterator[Envelope]) -> AsyncGenerator[Envelope, None]:
    """Give any async iterator an `aclose` that also closes the one inside."""
    try:
        async for envelope in events:
            yield envelope
    finally:
        close = getattr(events, "aclose", None)
        if close is not None:
            await close()
