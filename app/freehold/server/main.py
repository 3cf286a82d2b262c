"""The server process: its lock, its socket, its loop and its orderly end."""

from __future__ import annotations

import asyncio
import logging
import logging.handlers
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import uvicorn

from freehold import __version__
from freehold.errors import AppError
from freehold.paths import Paths
from freehold.secrets import ensure_key
from freehold.server.app import create_app
from freehold.server.http_protocol import BoundedProtocol
from freehold.server.ports import bind, bind_next, check_exposure
from freehold.server.server_lock import ServerLock
from freehold.server.wiring import Address, House, open_house

log = logging.getLogger(__name__)

KEEP_ALIVE_S = 30
GRACE_S = 3
LOG_BYTES = 5_000_000


class HouseServer(uvicorn.Server):
    """uvicorn over one house: the house ends first, so that its streams let the server end."""

    def __init__(self, house: House, on_ready: Callable[[], None] | None = None) -> None:
        super().__init__(server_config(house))
        # It tells of every malformed request and every reader that was let go: anyone could fill
        # the log. Our own failures are logged by the gate.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        self._house = house
        self._on_ready = on_ready
        house.stop = self.stop

    def stop(self) -> None:
        """Ask the server to end."""
        self.should_exit = True

    async def run_until_stopped(self, listener: socket.socket) -> None:
        """Serve until `stop` is called or a signal comes."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop)
        try:
            await self._serve(sockets=[listener])
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the house, then listen."""
        await self._house.start()
        await super().startup(sockets)
        if self._on_ready is not None:
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the house, then the connections."""
        await self._house.close()
        await super().shutdown(sockets)


def server_config(house: House) -> uvicorn.Config:
    """Return uvicorn's configuration for `house`."""
    return uvicorn.Config(
        create_app(house),
        loop="none",
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        backlog=2048,
    )


def serve(
    paths: Paths, *, host: str, port: int | None, model: str | None, say: Callable[[str], None]
) -> None:
    """Run the server of this data folder until it is told to end.

    port: exactly this one, or None for the one in the settings or the next free one.
    Raises: AppError `already_running`, `port_taken`, `forbidden` and whatever storage reports.
    """
    os.umask(0o077)
    paths.create()
    lock = ServerLock(paths)
    lock.take()
    try:
        # Under the lock: two servers that start at once must not each make a key.
        check_exposure(host, ensure_key(paths.key_file))
        log_to_file(paths.logs / "server.log")
        house = open_house(paths)
        preferred = house.settings.current.port
        listener = bind(host, port) if port is not None else bind_next(host, preferred)
        house.address = Address(host, listener.getsockname()[1])
        if port is None and house.address.port != preferred:
            say(f"Port {preferred} is taken, so {house.address.port} is used.")
        runner = asyncio.Runner(loop_factory=_loop_factory())
        with runner:
            runner.run(_run(house, lock, listener, model, say))
    finally:
        lock.release()


async def _run(
    house: House,
    lock: ServerLock,
    listener: socket.socket,
    model: str | None,
    say: Callable[[str], None],
) -> None:
    address = house.address
    assert address is not None
    first_load: asyncio.Task[None] | None = None

    def ready() -> None:
        nonlocal first_load
        lock.announce(
            {
                "pid": os.getpid(),
                "host": address.host,
                "port": address.port,
                "instance_id": house.instance_id,
                "version": __version__,
                "started_at": house.started_at,
            }
        )
        log.info("Freehold %s listens on %s port %d", __version__, address.host, address.port)
        say(f"Freehold answers at {address.base_url}")
        if model:
            first_load = asyncio.create_task(
                _load_first(house, model, Path(model).expanduser().absolute(), say)
            )

    await HouseServer(house, ready).run_until_stopped(listener)
    log.info("the server has ended")
    if first_load is not None:
        first_load.cancel()
        await asyncio.gather(first_load, return_exceptions=True)


async def _load_first(house: House, model: str, path: Path, say: Callable[[str], None]) -> None:
    """Load the model named at the start; a REF may be the path of a new file too."""
    try:
        if await asyncio.to_thread(path.is_file):
            entry = await house.library.import_file(str(path))
        else:
            entry = await house.library.resolve(model)
        await house.engines.load(entry.ref)
        await house.engines.wait_loaded(entry.ref)
        say(f"{entry.ref} is loaded.")
    except AppError as error:
        log.warning("the first model was not loaded: %s", error.sentence)
        say(error.sentence)


class PrivateLog(logging.handlers.RotatingFileHandler):
    """A rotating log that only its user can read, whatever the umask."""

    def _open(self) -> TextIO:  # type: ignore[override]
        handle = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return os.fdopen(handle, "a", encoding=self.encoding)


def log_to_file(path: Path) -> None:
    """Send the log to a file of bounded size, readable by the user alone."""
    handler = PrivateLog(path, maxBytes=LOG_BYTES, backupCount=2, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop
