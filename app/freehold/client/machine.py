"""The machine part of the `Client` seam, reached as `client.machine`.

Two bodies exist, `HttpMachine` here and `tests/doubles/machine.py:FakeMachine`; one contract test
runs on both. Every method raises `AppError`.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

from freehold.client.calls import Call, Decode
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
