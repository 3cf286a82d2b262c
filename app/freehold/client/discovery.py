"""Finding this user's background server, starting it, and replacing an older one.

A running server holds an exclusive lock on `paths.lock_file` and has written where it listens to
`paths.address_file`. Whoever can take the lock knows that no server runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from freehold import __version__
from freehold.client.http import HttpClient
from freehold.errors import AppError
from freehold.paths import Paths
from freehold.secrets import read_key
from freehold.wire import API_VERSION, Hello

log = logging.getLogger(__name__)

START_S: Final = 30.0
STOP_S: Final = 20.0
LOOK_S: Final = 0.05
LOG_TAIL_BYTES: Final = 2000
FULL_BYTES: Final = 1_000_000


class ServerAddress(msgspec.Struct, frozen=True):
    """What a server writes to `paths.address_file` once it listens."""

    pid: int
    host: str
    port: int
    instance_id: str = ""
    version: str = ""
    started_at: float = 0.0

    @property
    def base_url(self) -> str:
        """Return the address to call from this machine."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::", "") else self.host  # noqa: S104
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Connection:
    """A client of a server that has proven itself.

    process: the server, where this call started it; warning: what the person should know.
    """

    client: HttpClient
    hello: Hello
    process: subprocess.Popen[bytes] | None = None
    warning: AppError | None = None


def read_address(paths: Paths) -> ServerAddress | None:
    """Return where the server said it listens; None without a readable file."""
    try:
        return msgspec.json.decode(paths.address_file.read_bytes(), type=ServerAddress)
    except (OSError, msgspec.DecodeError):
        return None


def is_locked(paths: Paths) -> bool:
    """Return whether a server runs (or is starting) for these folders.

    When none does, what a dead one left is removed.
    """
    with _lock(paths) as taken:
        if taken:
            # In a folder one may not write it stays; that is named by who has to write there.
            with contextlib.suppress(OSError):
                paths.address_file.unlink()
        return not taken


async def find_server(paths: Paths, *, wait_s: float = START_S) -> Connection | None:
    """Return a connection to the running server, waiting while one is starting; None if none runs.

    Raises: AppError `server_unreachable` when one runs but does not answer, `unauthorized` when
    its key is another one.
    """
    deadline = time.monotonic() + wait_s
    failure: AppError | None = None
    while await asyncio.to_thread(is_locked, paths):
        address = await asyncio.to_thread(read_address, paths)
        if address is not None:
            try:
                return await _connect(paths, address.base_url)
            except AppError as error:
                if error.code != "server_unreachable":
                    raise
                failure = error
        if time.monotonic() > deadline:
            raise failure or AppError(
                "server_unreachable",
                "Freehold's server is running but has not said where it listens.",
                f"Look into {paths.logs / 'server.log'}, or end the process and start again.",
                retryable=True,
            )
        await asyncio.sleep(LOOK_S)
    return None


async def ensure_server(paths: Paths, *, wait_s: float = START_S) -> Connection:
    """Return a connection to this user's server, starting it if none runs.

    An older server of this user is ended and started anew, so that both speak the same version.
    Raises: AppError with the cause when it does not start.
    """
    found = await find_server(paths, wait_s=wait_s)
    if found is not None:
        if not is_older(found.hello.version, __version__) and found.hello.api == API_VERSION:
            return found
        if not is_older(found.hello.version, __version__):
            return Connection(found.client, found.hello, warning=version_warning(found.hello))
        log.info("replacing server %s by %s", found.hello.version, __version__)
        await _end(found.client, paths)
    process = await asyncio.to_thread(spawn_server, paths)
    connection = await _wait_started(paths, process, wait_s)
    return Connection(connection.client, connection.hello, process)


async def connect_remote(base_url: str, key: str) -> Connection:
    """Return a connection to a server elsewhere; another version is only warned about."""
    client = HttpClient(base_url, key)
    try:
        hello = await client.hello()
    except BaseException:
        await client.close()
        raise
    differs = hello.version != __version__ or hello.api != API_VERSION
    return Connection(client, hello, warning=version_warning(hello) if differs else None)


def spawn_server(paths: Paths) -> subprocess.Popen[bytes]:
    """Start `freehold serve` on its own, so that it outlives whoever started it."""
    paths.create()
    log_file = paths.logs / "server-start.log"
    handle = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "freehold", "serve"],
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=handle,
            start_new_session=True,
            cwd="/" if os.name == "posix" else None,
        )
    finally:
        os.close(handle)


def is_older(version: str, than: str) -> bool:
    """Return whether a version comes before another; an unreadable one counts as older."""
    return _numbers(version) < _numbers(than)


def version_warning(hello: Hello) -> AppError:
    """Return what a person is told about a server of another version."""
    return AppError(
        "conflict",
        f"The server runs Freehold {hello.version}, this window is {__version__}.",
        "Update the older of the two; until then some things may not work.",
        detail={"server": hello.version, "client": __version__, "api": hello.api},
    )


async def _connect(paths: Paths, base_url: str) -> Connection:
    key = await asyncio.to_thread(read_key, paths.key_file)
    if key is None:
        raise AppError(
            "server_unreachable",
            f"The key of Freehold's server is missing ({paths.key_file}).",
            "Restart the server: it makes a new one.",
            retryable=True,
        )
    client = HttpClient(base_url, key.value)
    try:
        return Connection(client, await client.hello())
    except BaseException:
        await client.close()
        raise


async def _wait_started(
    paths: Paths, process: subprocess.Popen[bytes], wait_s: float
) -> Connection:
    deadline = time.monotonic() + wait_s
    while True:
        ended = process.poll()
        address = await asyncio.to_thread(read_address, paths)
        if address is not None and (address.pid == process.pid or ended is not None):
            with contextlib.suppress(AppError):
                return await _connect(paths, address.base_url)
        if ended is not None and not await asyncio.to_thread(is_locked, paths):
            raise _did_not_start(paths, f"it ended with status {ended}")
        if time.monotonic() > deadline:
            raise _did_not_start(paths, f"it did not answer within {wait_s:.0f} s")
        await asyncio.sleep(LOOK_S)


async def _end(client: HttpClient, paths: Paths) -> None:
    with contextlib.suppress(AppError):
        await client.shut_down()
    await client.close()
    deadline = time.monotonic() + STOP_S
    while await asyncio.to_thread(is_locked, paths):
        if time.monotonic() > deadline:
            raise AppError(
                "server_unreachable",
                "The older Freehold server does not end.",
                "End its process (`freehold serve`) by hand, then open Freehold again.",
            )
        await asyncio.sleep(LOOK_S)


def _did_not_start(paths: Paths, why: str) -> AppError:
    text = ""
    with contextlib.suppress(OSError):
        text = (paths.logs / "server-start.log").read_text("utf-8", "replace")[-LOG_TAIL_BYTES:]
    last = text.strip().splitlines()[-1] if text.strip() else ""
    said = last.removeprefix("freehold: ")
    if not said and shutil.disk_usage(paths.logs).free < FULL_BYTES:  # it could not even say so
        return AppError(
            "disk_full",
            f"Freehold's server did not start: there is no room on the disk of {paths.data}.",
            "Free some space there; what is already stored can still be read.",
        )
    return AppError(
        "server_unreachable",
        f"Freehold's server did not start: {said or f'{why}.'}",
        f"The log in {paths.logs} has the details.",
        detail={"why": why, "output": text},
    )


def _numbers(version: str) -> tuple[int, ...]:
    parts = version.split("+")[0].split(".")
    return tuple(int(part) for part in parts) if all(p.isdigit() for p in parts) else ()


if sys.platform == "win32":

    @contextlib.contextmanager
    def _lock(paths: Paths) -> Iterator[bool]:
        yield not paths.address_file.exists()

else:
    import fcntl

    @contextlib.contextmanager
    def _lock(paths: Paths) -> Iterator[bool]:
        """Yield whether the server's lock could be taken; it is given back at once."""
        try:
            handle = os.open(paths.lock_file, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            yield True
            return
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
        finally:
            os.close(handle)
