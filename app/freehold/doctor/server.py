"""The background server: whether it runs, and whether its port is free."""

from __future__ import annotations

import http.client
import json
import socket
from urllib.parse import urlsplit

import psutil

from freehold.client.discovery import ServerAddress
from freehold.doctor.check import Check

ANSWER_WITHIN_S = 3.0
LOOPBACK = "127.0.0.1"


def check_server(address: ServerAddress | None) -> Check:
    """Return whether the server that wrote `address` answers."""
    if address is None:
        return Check("server", True, "not running; it starts with the window", needed=False)
    where = f"{address.base_url}, process {address.pid}"
    if answers(address.base_url):
        return Check("server", True, f"running on {where}", needed=False)
    if psutil.pid_exists(address.pid):
        return Check(
            "server",
            False,
            f"{where}: the process is there but does not answer",
            f"End it with `kill {address.pid}` and open Freehold again; nothing stored is lost.",
        )
    return Check("server", True, "not running; the last one ended unexpectedly", needed=False)


def check_port(port: int, *, ours: bool) -> Check:
    """Return whether the server's port can be taken, or who holds it."""
    if ours:
        return Check("port", True, f"{port} is held by Freehold's own server", needed=False)
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((LOOPBACK, port))
    except OSError as error:
        return Check(
            "port",
            False,
            f"{port} cannot be used ({error.strerror}); held by {holder(port) or 'another user'}",
            "Freehold offers the next free port; or choose another one in the settings.",
            needed=False,
        )
    return Check("port", True, f"{port} is free", needed=False)


def holder(port: int) -> str | None:
    """Return the program that listens on a port, as far as this user may see it."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.Error:
        return None
    for connection in connections:
        listens = connection.status == psutil.CONN_LISTEN
        if listens and connection.laddr and connection.laddr.port == port and connection.pid:
            try:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
            except psutil.Error:
                return f"process {connection.pid}"
    return None


def answers(base_url: str) -> bool:
    """Return whether a Freehold server answers its health check there."""
    place = urlsplit(base_url)
    connection = http.client.HTTPConnection(
        place.hostname or LOOPBACK, place.port, timeout=ANSWER_WITHIN_S
    )
    try:
        connection.request("GET", "/health")
        answer = connection.getresponse()
        return answer.status == 200 and json.loads(answer.read(4096)).get("status") == "ok"
    except (OSError, http.client.HTTPException, ValueError, AttributeError):
        return False
    finally:
        connection.close()
