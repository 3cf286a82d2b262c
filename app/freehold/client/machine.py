"""The machine part of the `Client` seam, reached as `client.machine`.

Two bodies exist, `HttpMachine` here and `tests/doubles/machine.py:FakeMachine`; one contract test
runs on both. Every method raises `AppError`.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

from freehold.client.calls import Call, Decode
from freehold.wire_machine import (
    MachineState,
    ModelSetup,
    Plan,
    PlanRequest,
    TunedUse,
    TuneRequest,
)

T = TypeVar("T")


class MachineClient(Protocol):
    """What a server knows of its machine."""

    async def state(self) -> MachineState:
        """Return the machine as it is now."""
        ...

    async def plan(self, request: PlanRequest) -> Plan:
        """Return what fits, where, why and how fast; a plan that says no is an answer too."""
        ...

    async def calibrate(self) -> MachineState:
        """Begin to measure the machine; `state` tells how far that is."""
        ...

    async def tune(self, ref: str, budget_s: float = 180.0) -> MachineState:
        """Begin to tune a model; `state` tells how far that is."""
        ...

    async def cancel_job(self) -> MachineState:
        """End the measurement under way, if there is one."""
        ...

    async def setup(self, ref: str) -> ModelSetup:
        """Return how a model is loaded next time, and what tuning found for it."""
        ...

    async def use_tuned(self, ref: str, *, as_tuned: bool) -> ModelSetup:
        """Load a model as tuned, or as before, from its next load on."""
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

    async def calibrate(self) -> MachineState:
        """Begin to measure the machine."""
        return self._decode(await self._call("POST", "/machine/calibrate"), MachineState)

    async def tune(self, ref: str, budget_s: float = 180.0) -> MachineState:
        """Begin to tune a model."""
        asked = TuneRequest(ref=ref, budget_s=budget_s)
        return self._decode(await self._call("POST", "/machine/tune", asked), MachineState)

    async def cancel_job(self) -> MachineState:
        """End the measurement under way."""
        response = await self._call("DELETE", "/machine/job", repeat=True)
        return self._decode(response, MachineState)

    async def setup(self, ref: str) -> ModelSetup:
        """Return how a model is loaded next time."""
        response = await self._call("GET", "/machine/setup", params={"ref": ref}, repeat=True)
        return self._decode(response, ModelSetup)

    async def use_tuned(self, ref: str, *, as_tuned: bool) -> ModelSetup:
        """Load a model as tuned, or as before."""
        asked = TunedUse(ref=ref, as_tuned=as_tuned)
        response = await self._call("POST", "/machine/tuned", asked, repeat=True)
        return self._decode(response, ModelSetup)
