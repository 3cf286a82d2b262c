"""Which `Host` and `Origin` values reach the server: the answer to DNS rebinding and to web pages.

A page in a browser can send requests to 127.0.0.1, but it cannot choose these two headers.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import psutil

Headers = Sequence[tuple[bytes, bytes]]

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")


def is_loopback(host: str) -> bool:
    """Return whether `host`, as given to `--host`, is reachable from this machine alone."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False  # a name like 127.x.evil.com may lead anywhere
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def machine_names() -> tuple[str, ...]:
    """Return the names and addresses other machines may reach this one by."""
    name = socket.gethostname().lower()
    names = [name, f"{name}.local"] if name else []
    for addresses in psutil.net_if_addrs().values():
        for address in addresses:
            if address.family == socket.AF_INET:
                names.append(address.address)
            elif address.family == socket.AF_INET6:
                names.append(f"[{address.address.split('%')[0].lower()}]")
    return tuple(dict.fromkeys(names))


@dataclass(frozen=True, slots=True)
class AllowList:
    """The exact values of `Host` and `Origin` that are let in."""

    hosts: frozenset[bytes]
    origins: frozenset[bytes]

    @classmethod
    def of(cls, names: Iterable[str], port: int) -> AllowList:
        """Return the list for a server answering as `names` on `port`."""
        hosts = {f"{name}:{port}" for name in names}
        if port == 80:
            hosts |= set(names)
        return cls(
            frozenset(host.encode() for host in hosts),
            frozenset(f"http://{host}".encode() for host in hosts),
        )

    def admits_host(self, headers: Headers) -> bool:
        """Return whether there is exactly one `Host`, and it is this server's."""
        hosts = [value for name, value in headers if name == b"host"]
        return len(hosts) == 1 and hosts[0].strip().lower() in self.hosts

    def admits_origin(self, headers: Headers) -> bool:
        """Return whether no web page sent this, or one of this server's own."""
        return all(
            value.strip().lower() in self.origins for name, value in headers if name == b"origin"
        )
