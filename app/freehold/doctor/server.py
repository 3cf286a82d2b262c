"""The background server: whether it runs, and whether its port is free."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from typing import Any

import psutil

from freehold.doctor.check import Check
from freehold.paths import Paths

ANSWER_WITHIN_S = 3.0
LOOPBACK = "127.0.0.1"


def read_address(paths: Paths) -> Mapping[str, Any]:
    """Return what a running server wrote about itself; empty if nothing can be read."""
    try:
        found = json.loads(paths.address_file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def check_server(address: Mapping[str, Any]) -> Check:
    """Return whether the server that wrote `address` answers."""
    if not address:
        return Check("server", True, "not running; it starts with the window", needed=False)
    host, port = str(address.get("host", LOOPBACK)), int(address.get("port", 0))
    pid = address.get("pid")
    if answers(host, port):
        return Check(
            "server", True, f"running on http://{host}:{port}, process {pid}", needed=False
        )
    if isinstance(pid, int) and psutil.pid_exists(pid):
        return Check(
            "server",
            False,
            f"process {pid} is there, but http://{host}:{port} does not answer",
            f"End it with `kill {pid}` and open Freehold again; nothing stored is lost.",
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


def answers(host: str, port: int) -> bool:
    """Return whether a Freehold server answers its health check there."""
    connection = http.client.HTTPConnection(host, port, timeout=ANSWER_WITHIN_S)
    try:
        connection.request("GET", "/health")
        answer = connection.getresponse()
        return answer.status == 200 and json.loads(answer.read(4096)).get("status") == "ok"
    except (OSError, http.client.HTTPException, ValueError, AttributeError):
        return False
    finally:
        connection.close()
