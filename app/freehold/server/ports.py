"""Binding the server's socket: the port asked for, or the next one that is free."""

from __future__ import annotations

import contextlib
import errno
import socket

import psutil

from freehold.errors import AppError
from freehold.secrets import LocalKey
from freehold.server.allow_list import is_loopback

DEFAULT_PORT = 11711
TRIES = 100
MIN_KEY_CHARS = 16


def check_exposure(host: str, key: LocalKey | None) -> None:
    """Raise AppError unless `host` is this machine's own or a strong key guards the door."""
    if is_loopback(host):
        return
    if key is None or len(key.value) < MIN_KEY_CHARS:
        raise AppError(
            "forbidden",
            f"Listening on {host} needs a key of at least {MIN_KEY_CHARS} characters.",
            "Unset FREEHOLD_KEY to use the one Freehold made, or set a longer one.",
        )


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket on exactly this port; 0 lets the system choose.

    Raises: AppError `port_taken`, `no_permission` or `invalid_request`.
    """
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError, OverflowError) as error:
        raise AppError(
            "invalid_request", f"{host!r} is no address of this machine.", "Use 127.0.0.1."
        ) from error
    listener = socket.socket(family, kind, proto)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise _port_taken(host, port) from error
        if error.errno in (errno.EACCES, errno.EPERM):
            raise AppError(
                "no_permission",
                f"Your user may not listen on port {port}.",
                "Choose a port above 1023.",
                detail={"port": port},
            ) from error
        raise AppError(
            "invalid_request",
            f"Listening on {host} port {port} is not possible ({error.strerror}).",
            "Use 127.0.0.1 and a port from 1024 to 65535.",
        ) from error
    return listener


def bind_next(host: str, port: int) -> socket.socket:
    """Return a listening socket on `port` or the next free one above it."""
    last: AppError | None = None
    for candidate in range(port, min(port + TRIES, 65536)):
        try:
            return bind(host, candidate)
        except AppError as error:
            if error.code != "port_taken":
                raise
            last = error
    assert last is not None
    raise last


def next_free(host: str, port: int) -> int | None:
    """Return a free port above `port`."""
    for candidate in range(port + 1, min(port + TRIES, 65536)):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, candidate))
            return candidate
    return None


def holder_of(port: int) -> str:
    """Return which program listens on `port`, as far as this user may know."""
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            if (
                connection.status == psutil.CONN_LISTEN
                and connection.laddr
                and connection.laddr.port == port
                and connection.pid
            ):
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    return ""


def _port_taken(host: str, port: int) -> AppError:
    holder, free = holder_of(port), next_free(host, port)
    return AppError(
        "port_taken",
        f"Port {port} is taken" + (f" by {holder}." if holder else " by another program."),
        f"Port {free} is free: use `--port {free}`." if free else "Choose another port.",
        detail={"port": port, "holder": holder, "free_port": free},
    )
