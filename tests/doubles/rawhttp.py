"""Bytes straight to a server's socket: what no HTTP library would send."""

from __future__ import annotations

import contextlib
import socket

LIMIT_S = 10.0


def exchange(port: int, request: str | bytes, *, limit_s: float = LIMIT_S) -> bytes:
    """Send `request` and return everything the server answers until it closes."""
    data = request.encode() if isinstance(request, str) else request
    with socket.create_connection(("127.0.0.1", port), timeout=limit_s) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(data)
        return read_all(connection)


def read_all(connection: socket.socket) -> bytes:
    """Return what comes until the other side closes."""
    answer = b""
    with contextlib.suppress(ConnectionError):
        while chunk := connection.recv(65536):
            answer += chunk
    return answer
