"""The machine part of the `Client` seam, reached as `client.machine`.

Two bodies exist, `HttpMachine` here and `tests/doubles/machine.py:FakeMachine`; one contract test
runs on both. Every method raises `AppError`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Protocol, TypeVar

import httpx

from freehold.wire_machine import MachineState, Plan, PlanRequest

T = TypeVar("T")


class MachineClient(Protocol):
    """What a server knows of its machine."""

    async def state(self) -> MachineState:
        """Return the machine as it is now."""
        ...

    async def plan(self, request: PlanRequest) -> Plan:
        """Return what fits, where, why and how fast; a plan that says no is an answer too."""
        ...


class Call(Protocol):
    """`HttpClient`'s way to the server."""

    def __call__(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        params: Mapping[str, str] | None = None,
        repeat: bool = False,
    ) -> Awaitable[httpx.Response]:
        """Send a request; raises AppError."""
        ...


class Decode(Protocol):
    """`HttpClient`'s way to read an answer."""

    def __call__(self, response: httpx.Response, kind: type[T]) -> T:
        """Return the body as a value."""
        ...


class HttpMachine:
    """The machine of the server that `HttpClient` speaks to."""

    def __init__(self, call: Call, decode: Decode) -> None:
        self._call = call
        self._decode = decode

    async def state(self) -> MachineState:
        """Return the machine as it is now."""
        response = await self._call("GET", "/machine", repeat=True)
        return self._decode(response, MachineState)

    async def plan(self, request: PlanRequest) -> Plan:
        """Return the plan."""
        response = await self._call("POST", "/machine/plan", request, repeat=True)
        return self._decode(response, Plan)
