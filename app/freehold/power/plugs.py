"""Smart plugs on the local network, read over HTTP: Shelly (both generations) and Tasmota.

The host is typed in by the person; nothing is discovered, and a redirect is never followed.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

import httpx

from freehold.errors import AppError
from freehold.power.readings import Meter, Reading

Kind = Literal["shelly-2", "shelly-1", "tasmota"]
PATHS: Mapping[Kind, str] = {
    "shelly-2": "/rpc/Switch.GetStatus?id=0",
    "shelly-1": "/status",
    "tasmota": "/cm?cmnd=Status%208",
}
# The others count in steps of a minute or more of work: their power says more about a second.
FINE_COUNTERS: frozenset[Kind] = frozenset({"shelly-2"})
MAX_ANSWER_BYTES = 64 * 1024
_HOST = re.compile(
    r"^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::\d{1,5})?$"
)


class PlugSource:
    """A plug that measures the whole machine at the wall."""

    def __init__(
        self,
        kind: Kind,
        host: str,
        client: httpx.Client,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        check_host(host)
        self._kind = kind
        self._url = f"http://{host}{PATHS[kind]}"
        self._client = client
        self._clock = clock
        # These plugs state 1 to 2 % and are rated at 16 A.
        self.meter = Meter(f"{kind} at {host}", "wall", 0.02, 4000.0)

    def read(self) -> Reading:
        """Return the plug's power and counter; nothing if it is away or answers rubbish."""
        try:
            answer = self._fetch()
        except (httpx.HTTPError, ValueError):
            return Reading(self._clock())
        watts, microjoules = parse_plug(self._kind, answer)
        counter = microjoules if self._kind in FINE_COUNTERS else None
        return Reading(self._clock(), counter, watts)

    def _fetch(self) -> Any:
        with self._client.stream("GET", self._url, timeout=2.0, follow_redirects=False) as response:
            if response.status_code != 200:
                raise httpx.HTTPError(f"status {response.status_code}")
            body = b""
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    raise httpx.HTTPError("the answer is too long for a plug")
        return httpx.Response(200, content=body).json()


def check_host(host: str) -> None:
    """Refuse what is not a host name or address with an optional port (AppError)."""
    if not _HOST.fullmatch(host) or ".." in host:
        raise AppError(
            "invalid_request",
            f"{host!r} is not the address of a plug.",
            "Enter its name or IP address as your router shows it, like 192.168.1.40.",
        )


def parse_plug(kind: Kind, answer: Any) -> tuple[float | None, int | None]:
    """Return (watts, microjoules) of a plug's answer; None for what it does not say.

    Units of the devices: Shelly Gen2 W and Wh, Shelly Gen1 W and Wmin, Tasmota W and kWh.
    """
    if kind == "shelly-2":
        watts = read_number(answer, "apower")
        energy_wh = read_number(answer, "aenergy", "total")
        return watts, _microjoules(energy_wh, 3600)
    if kind == "shelly-1":
        watts = read_number(answer, "meters", 0, "power")
        return watts, _microjoules(read_number(answer, "meters", 0, "total"), 60)
    watts = read_number(answer, "StatusSNS", "ENERGY", "Power")
    return watts, _microjoules(read_number(answer, "StatusSNS", "ENERGY", "Total"), 3_600_000)


def _microjoules(value: float | None, joules_per_unit: int) -> int | None:
    return None if value is None else round(value * joules_per_unit * 1e6)


def read_number(answer: Any, *path: str | int) -> float | None:
    """Return the number at a path into an answer; None where there is none that can be."""
    found = answer
    for key in path:
        if isinstance(key, int):
            if not isinstance(found, list) or key >= len(found):
                return None
            found = found[key]
        else:
            if not isinstance(found, dict):
                return None
            found = found.get(key)
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        return None
    return float(found) if 0 <= found < 1e12 else None
