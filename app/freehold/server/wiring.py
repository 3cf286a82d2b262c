"""The one place where the server's objects are put together."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from freehold.engine.interface import Engine
from freehold.errors import AppError
from freehold.paths import Paths
from freehold.secrets import LocalKey, ensure_key
from freehold.server.allow_list import LOOPBACK_NAMES, AllowList, is_loopback, machine_names
from freehold.server.bus import Bus
from freehold.server.counters import Counters
from freehold.server.engines import EngineSupervisor
from freehold.server.load_options import LoadMemory
from freehold.server.worker_pids import WorkerPids
from freehold.settings import SettingsFile
from freehold.wire import ModelEntry


class Library(Protocol):
    """The models of this machine."""

    async def entries(self) -> tuple[ModelEntry, ...]:
        """Return every model, ready or not."""
        ...

    async def resolve(self, ref: str) -> ModelEntry:
        """Return the model a ref or path names; raises `model_not_found`."""
        ...

    async def import_file(self, path: str) -> ModelEntry:
        """Add a GGUF file, in place."""
        ...

    async def remove(self, ref: str, *, delete_files: bool = False) -> int:
        """Forget a model; return the bytes freed."""
        ...


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server listens."""

    host: str
    port: int

    @property
    def base_url(self) -> str:
        """Return the address to call from this machine."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::", "") else self.host  # noqa: S104
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def allow_list(self) -> AllowList:
        """Return the hosts and origins a server at this address answers to."""
        names = LOOPBACK_NAMES
        if not is_loopback(self.host):
            names = (*names, *machine_names(), self.host.lower())
        elif self.host not in names:
            names = (*names, self.host)
        return AllowList.of(names, self.port)


@dataclass(slots=True)
class House:
    """Everything the routes need, joined once.

    address: None until the socket is bound. stop: asks the process to end.
    """

    paths: Paths
    settings: SettingsFile
    key: LocalKey
    bus: Bus
    library: Library
    engines: EngineSupervisor
    counters: Counters = field(default_factory=Counters)
    instance_id: str = field(default_factory=lambda: secrets.token_hex(8))
    started_at: float = field(default_factory=time.time)
    address: Address | None = None
    stop: Callable[[], None] = lambda: None

    async def start(self) -> None:
        """Begin what runs in the background."""
        await self.engines.start()

    async def close(self) -> None:
        """End streams and engine processes; what came of running replies is kept."""
        self.bus.close()
        await self.engines.close()

    async def choose_model(self, asked: str | None, *, kind: str = "chat") -> str:
        """Return the ref of the model to use; without one asked for, the default or only one.

        Raises: AppError `model_not_found` or `invalid_request`.
        """
        ref = asked or self.settings.current.default_model_ref
        if not ref:
            loaded = [s.ref for s in self.engines.states() if s.phase in ("ready", "loading")]
            if len(loaded) != 1:
                raise AppError(
                    "invalid_request",
                    "The request names no model.",
                    "Put one from `GET /v1/models` into `model`.",
                    detail={"param": "model"},
                )
            ref = loaded[0]
        entry = await self.library.resolve(ref)
        if entry.problem is not None:
            raise AppError.from_dict(
                {
                    "code": entry.problem.code,
                    "message": entry.problem.message,
                    "hint": entry.problem.hint,
                    "detail": entry.problem.detail,
                }
            )
        if entry.kind == "embedding" and kind == "chat":
            raise AppError(
                "invalid_request",
                f"{entry.ref} is an embedding model and cannot answer.",
                "Choose a chat model, or use `/v1/embeddings`.",
                detail={"param": "model"},
            )
        return entry.ref


def build_house(
    paths: Paths, *, library: Callable[[Bus], Library], make_engine: Callable[[], Engine]
) -> House:
    """Put a server together; nothing runs before `House.start`."""
    paths.create()
    settings = SettingsFile(paths.settings_file)
    bus = Bus()
    models = library(bus)
    engines = EngineSupervisor(
        resolve=models.resolve,
        make_engine=make_engine,
        publish=bus.publish,
        memory=LoadMemory(paths.config / "load_options.json"),
        pids=WorkerPids(paths.state / "workers.json"),
        idle_minutes=lambda: settings.current.idle_unload_minutes,
    )
    return House(
        paths=paths,
        settings=settings,
        key=ensure_key(paths.key_file),
        bus=bus,
        library=models,
        engines=engines,
    )


def open_house(paths: Paths) -> House:
    """Put the real server together."""
    from freehold.engine.process import ProcessEngine
    from freehold.library.local import LocalLibrary

    return build_house(
        paths, library=lambda bus: LocalLibrary(paths, bus.publish), make_engine=ProcessEngine
    )
