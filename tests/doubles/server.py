"""A real uvicorn on 127.0.0.1 over a house whose library and engines are doubles."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import uvloop

from doubles.engine import FakeEngine, Script, echo
from freehold.engine.interface import Engine
from freehold.errors import AppError
from freehold.paths import Paths
from freehold.server.main import HouseServer
from freehold.server.ports import bind
from freehold.server.wiring import Address, House, build_house
from freehold.wire import ModelEntry

START_LIMIT_S = 20.0


def fake_entry(ref: str, **changes: object) -> ModelEntry:
    """Return a model of the library that is ready."""
    values: dict[str, object] = {
        "ref": ref,
        "name": ref,
        "arch": "deepseek2",
        "bytes": 2_000_000,
        "path": f"/models/{ref}.gguf",
        "origin": "imported",
        "ready": True,
        "context_tokens": 8192,
        "parameters": 1_000_000,
    }
    return ModelEntry(**{**values, **changes})  # type: ignore[arg-type]


class FakeLibrary:
    """A library that knows the entries it was given."""

    def __init__(self, entries: Sequence[ModelEntry]) -> None:
        self.known = {entry.ref: entry for entry in entries}

    async def entries(self) -> tuple[ModelEntry, ...]:
        return tuple(self.known.values())

    async def resolve(self, ref: str) -> ModelEntry:
        if ref not in self.known:
            raise AppError(
                "model_not_found", f"There is no model {ref[:80]!r}.", "See GET /v1/models."
            )
        return self.known[ref]

    async def find(self, ref: str) -> ModelEntry:
        return await self.resolve(ref)

    async def import_file(
        self,
        path: str | Path,
        *,
        ref: str | None = None,
        origin: str = "imported",
        owned: bool = False,
    ) -> ModelEntry:
        entry = fake_entry(ref or Path(path).stem, path=str(path), origin=origin)
        self.known[entry.ref] = entry
        return entry

    async def remove(self, ref: str, *, delete_files: bool = False) -> int:
        entry = await self.resolve(ref)
        del self.known[ref]
        return entry.bytes if delete_files else 0


class FakeModels:
    """The engines of a house by order of loading; each load makes a new `FakeEngine`.

    Attributes:
        made: every engine so far.
        make: what makes the next one; set it to script loads.
    """

    def __init__(self, script: Script = echo) -> None:
        self.made: list[FakeEngine] = []
        self.make: Callable[[], FakeEngine] = lambda: FakeEngine(script)

    def __call__(self) -> Engine:
        self.made.append(self.make())
        return self.made[-1]

    @property
    def last(self) -> FakeEngine:
        return self.made[-1]


def fake_paths(folder: Path) -> Paths:
    """Return the folders of an installation below `folder`."""
    return Paths(folder / "data", folder / "state", folder / "cache", folder / "config")


def fake_house(
    folder: Path, models: FakeModels, entries: Sequence[ModelEntry] | None = None
) -> House:
    """Return a house over doubles; its key and settings are real files in `folder`."""
    library = FakeLibrary(entries if entries is not None else [fake_entry("tiny")])
    return build_house(fake_paths(folder), library=library, make_engine=models)


class LiveServer:
    """A server in a thread of its own, with its own loop, until `stop`."""

    def __init__(self, make_house: Callable[[], House]) -> None:
        self._make_house = make_house
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="live-server", daemon=True)
        self._failure: BaseException | None = None
        self.loop: asyncio.AbstractEventLoop
        self.house: House
        self._server: HouseServer

    def start(self) -> LiveServer:
        self._thread.start()
        if not self._ready.wait(START_LIMIT_S):
            raise TimeoutError("the server did not start")
        if self._failure is not None:
            raise self._failure
        return self

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self._server.stop)
        self._thread.join(START_LIMIT_S)
        if self._thread.is_alive():
            raise TimeoutError("the server did not end")
        if self._failure is not None:
            raise self._failure

    def call(self, function: Callable[[], object]) -> object:
        """Run `function` on the server's loop and return what it gives."""

        async def run() -> object:
            result = function()
            return await result if asyncio.iscoroutine(result) else result

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(START_LIMIT_S)

    @property
    def port(self) -> int:
        assert self.house.address is not None
        return self.house.address.port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def key(self) -> str:
        return self.house.key.value

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - handed to the test
            self._failure = error
            self._ready.set()

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.house = self._make_house()
        listener = bind("127.0.0.1", 0)
        self.house.address = Address("127.0.0.1", listener.getsockname()[1])
        self._server = HouseServer(self.house, self._ready.set)
        await self._server._serve(sockets=[listener])


@contextlib.contextmanager
def live_server(make_house: Callable[[], House]) -> Iterator[LiveServer]:
    """Run a server for the length of a `with` block."""
    server = LiveServer(make_house).start()
    try:
        yield server
    finally:
        server.stop()
