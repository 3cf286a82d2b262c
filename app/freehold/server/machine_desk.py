"""What the server says of its machine, and the plans it makes for the library's models."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from freehold.errors import AppError
from freehold.machine.planner import plan_model
from freehold.machine.service import Places, open_places
from freehold.paths import Paths
from freehold.wire import ModelEntry
from freehold.wire_machine import MachineState, Plan, PlanRequest


class MachineDesk:
    """Opens the driver when it is first asked; answers one plan at a time."""

    def __init__(
        self,
        paths: Paths,
        resolve: Callable[[str], Awaitable[ModelEntry]],
    ) -> None:
        self._paths = paths
        self._resolve = resolve
        self._opened: Places | None = None
        self._opening = asyncio.Lock()
        self._turn = asyncio.Lock()

    async def places(self) -> Places:
        """Return the machines plans can be made for."""
        async with self._opening:
            if self._opened is None:
                self._opened = await open_places(self._paths)
            return self._opened

    async def state(self) -> MachineState:
        """Return the machine as it is now."""
        places = await self.places()
        return MachineState(
            inventory=await places.inventory(),
            profiles=tuple(places.profiles().machines),
        )

    async def plan(self, request: PlanRequest) -> Plan:
        """Return the plan for a model of the library.

        Raises: AppError `model_not_found`, `not_found` for the machine, `invalid_request`.
        """
        entry = await self._resolve(request.ref)
        path = Path(entry.path)
        if not await asyncio.to_thread(path.exists):
            raise AppError(
                "not_found",
                f"There is no file at {path}.",
                "Check the path; if its disk is unplugged, connect it.",
                detail={"path": str(path)},
            )
        places = await self.places()
        async with self._turn:
            return await plan_model(path, request, await places.place(request.machine, path))

    def close(self) -> None:
        """End the session with the driver."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None
