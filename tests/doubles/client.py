"""An honest, scriptable `Client` without a server: what a test says happens, and is recorded.

    client = FakeClient(models=(kimi,))
    client.script_reply(["Hel", "lo"], reasoning=["Greet."])
    client.fail_next("load_model", AppError("does_not_fit", "…", "…"))
    client.go_offline()          # calls and event streams fail as if the server died
    client.push(Notice(...))     # any event, numbered and kept as the server does

Replies and loads run as tasks of the running loop; `close()` ends them.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from doubles.client_chats import FakeChatCalls
from doubles.client_library import FakeLibraryCalls, FakeShelf
from doubles.client_models import FakeModelCalls
from doubles.client_replies import Reply as Reply
from doubles.client_replies import error_info as error_info
from doubles.conversation_tree import Conversations
from doubles.costs import FakeCosts
from doubles.documents import FakeDocuments
from doubles.files import FakeFiles
from doubles.machine import FakeMachine
from freehold.errors import AppError
from freehold.wire import (
    API_VERSION,
    AnyEvent,
    Changed,
    EngineState,
    Envelope,
    Hello,
    ModelEntry,
    ReplyStats,
    Resync,
    ServerInfo,
    Settings,
    State,
)
from freehold.wire_grounds import Grounds


@dataclass(frozen=True)
class Call:
    """One call a test can look at."""

    method: str
    arguments: dict[str, object]


class FakeClient(FakeModelCalls, FakeChatCalls, FakeLibraryCalls):
    """A server in memory."""

    def __init__(
        self,
        *,
        models: Sequence[ModelEntry] = (),
        engines: Sequence[EngineState] = (),
        settings: Settings | None = None,
        base_url: str = "http://127.0.0.1:11711",
        ring: int = 4096,
    ) -> None:
        self.calls: list[Call] = []
        self.models = {model.ref: model for model in models}
        self.engines = {engine.ref: engine for engine in engines}
        self.conversations = Conversations()
        self.stored_settings = settings or Settings()
        self.instance_id = "instance-1"
        self.load_steps: tuple[float, ...] = (0.25, 0.5, 0.75)
        self.hold_loads = False
        self.importable: dict[str, ModelEntry | AppError] = {}
        self.closed = False
        self.server_ended = False
        self._base_url = base_url
        self._clock = itertools.count(1_760_000_000)
        self._seq = 0
        self._log: deque[Envelope] = deque(maxlen=ring)
        self.shelf = FakeShelf(self.push, self.models)
        self._wake = asyncio.Event()
        self._online = True
        self._line = 0
        self._failures: dict[str, deque[AppError]] = defaultdict(deque)
        self._load_failures: dict[str, AppError] = {}
        self._replies: deque[Reply] = deque()
        self._running: dict[str, tuple[asyncio.Task[None], Reply]] = {}
        self._loads: dict[str, asyncio.Task[None]] = {}
        self._loads_released = asyncio.Event()
        self._tokens: dict[str, tuple[str, str]] = {}
        self.costs = FakeCosts(
            self._enter, self.push, lambda name, error: self._failures[name].append(error)
        )
        self.machine = FakeMachine(
            self._enter, lambda name, error: self._failures[name].append(error)
        )
        self.files = FakeFiles(
            self._enter,
            lambda name, error: self._failures[name].append(error),
            self.models,
            self.push,
        )
        self.documents = FakeDocuments(
            self._enter,
            lambda name, error: self._failures[name].append(error),
            self.push,
            self.conversations,
        )

    # --- what a test arranges ------------------------------------------------------------

    def script_reply(
        self,
        deltas: Sequence[str],
        *,
        reasoning: Sequence[str] = (),
        error: AppError | None = None,
        hold: bool = False,
        pause_s: float = 0.0,
        stats: ReplyStats | None = None,
        grounds: Grounds | None = None,
    ) -> Reply:
        """Say what the next reply is; `hold` keeps it open until `released.set()` or a stop."""
        reply = Reply(deltas, reasoning, error, hold, pause_s, stats, grounds)
        self._replies.append(reply)
        return reply

    def fail_next(self, method: str, error: AppError) -> None:
        """Make the next call of `method` raise `error`."""
        if not callable(getattr(self, method, None)):
            raise AttributeError(f"Client has no method {method!r}")
        self._failures[method].append(error)

    def fail_load(self, ref: str, error: AppError) -> None:
        """Make the next load of `ref` end as failed with `error`."""
        self._load_failures[ref] = error

    def release_loads(self) -> None:
        """Let loads held by `hold_loads` finish."""
        self.hold_loads = False
        self._loads_released.set()

    def push(self, event: AnyEvent) -> Envelope:
        """Number an event and tell it to every reader."""
        self._seq += 1
        envelope = Envelope(seq=self._seq, event=event)
        self._log.append(envelope)
        self._stir()
        return envelope

    def skip_seq(self, count: int = 1) -> None:
        """Lose `count` events: the next one leaves a gap."""
        self._seq += count

    def drop_line(self) -> None:
        """Break every event stream once; the server goes on."""
        self._line += 1
        self._stir()

    def go_offline(self) -> None:
        """Be unreachable until `go_online`."""
        self._online = False
        self.drop_line()

    def go_online(self, *, restarted: bool = False) -> None:
        """Be reachable again; `restarted` starts a new instance with an empty event log."""
        self._online = True
        if restarted:
            self.instance_id = f"instance-{int(self.instance_id.rpartition('-')[2]) + 1}"
            self.engines.clear()
            self._log.clear()
            self._seq = 0

    def called(self, method: str) -> list[dict[str, object]]:
        """Return the arguments of every call of `method`."""
        return [call.arguments for call in self.calls if call.method == method]

    # --- Client: server ------------------------------------------------------------------

    @property
    def base_url(self) -> str:
        return self._base_url

    async def hello(self) -> Hello:
        await self._enter("hello")
        return Hello(api=API_VERSION, version="0.1.0", instance_id=self.instance_id, pid=4242)

    async def state(self) -> State:
        await self._enter("state")
        return State(
            seq=self._seq,
            server=ServerInfo(
                version="0.1.0",
                instance_id=self.instance_id,
                pid=4242,
                started_at=1_760_000_000.0,
                host="127.0.0.1",
                port=int(self._base_url.rpartition(":")[2]),
                base_url=self._base_url,
                data_folder="/home/ada/.local/share/freehold",
                data_bytes_free=812_000_000_000,
                hostname="workstation",
                backend="CPU",
                api_enabled=self.stored_settings.api_enabled,
            ),
            models=tuple(self.models.values()),
            engines=tuple(self.engines.values()),
            settings=self.stored_settings,
        )

    async def events(self, after: int) -> AsyncIterator[Envelope]:
        await self._enter("events", after=after)
        line, seen = self._line, after
        if after > self._seq or (self._log and after < self._log[0].seq - 1):
            yield Envelope(seq=self._seq, event=Resync())
            return
        while True:
            if line != self._line:
                raise _unreachable()
            ready = [envelope for envelope in self._log if envelope.seq > seen]
            if not ready:
                await self._wake.wait()
                continue
            for envelope in ready:
                seen = envelope.seq
                yield envelope

    async def settings(self) -> Settings:
        await self._enter("settings")
        return self.stored_settings

    async def save_settings(self, settings: Settings) -> Settings:
        await self._enter("save_settings", settings=settings)
        if not 1024 <= settings.port <= 65535:
            raise AppError(
                "invalid_request",
                f"Port {settings.port} cannot be used.",
                "Choose a port between 1024 and 65535.",
            )
        self.stored_settings = settings
        self.push(Changed(topic="settings"))
        return settings

    async def api_key(self) -> str:
        await self._enter("api_key")
        return "fh-0123456789abcdef0123456789abcdef"

    async def shut_down(self) -> None:
        await self._enter("shut_down")
        self.server_ended = True
        await self._end_tasks()
        self.go_offline()

    async def close(self) -> None:
        self.calls.append(Call("close", {}))
        self.closed = True
        await self._end_tasks()
        self.drop_line()

    # --- inside --------------------------------------------------------------------------

    async def _enter(self, method: str, **arguments: object) -> None:
        self.calls.append(Call(method, arguments))
        await asyncio.sleep(0)
        if not self._online:
            raise _unreachable()
        if self._failures[method]:
            raise self._failures[method].popleft()

    def _now(self) -> float:
        return float(next(self._clock))

    def _stir(self) -> None:
        self._wake.set()
        self._wake = asyncio.Event()

    async def _end_tasks(self) -> None:
        tasks = [task for task, _ in self._running.values()] + list(self._loads.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _unreachable() -> AppError:
    return AppError(
        "server_unreachable",
        "The Freehold server does not answer.",
        "It is started again by itself; if it stays away, run `freehold doctor`.",
        retryable=True,
    )
