"""What the server says of its machine, and the plans it makes for the library's models."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from freehold.errors import AppError
from freehold.library.model_maker.gauges import write_gauge
from freehold.machine.calibrating import MakeGauge, Tools, calibrate
from freehold.machine.calibration import to_info
from freehold.machine.memory import machine_key
from freehold.machine.planner import plan_model
from freehold.machine.service import Places, open_places
from freehold.paths import Paths
from freehold.server.machine_jobs import MachineJobs, Tell, Work
from freehold.wire import ModelEntry
from freehold.wire_machine import MachineJob, MachineState, Plan, PlanRequest


class MachineDesk:
    """Opens the driver when it is first asked; answers one plan at a time."""

    def __init__(
        self,
        paths: Paths,
        resolve: Callable[[str], Awaitable[ModelEntry]],
        make_gauge: MakeGauge = write_gauge,
    ) -> None:
        self._paths = paths
        self._resolve = resolve
        self._tools = Tools(make_gauge)
        self.jobs = MachineJobs()
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
        inventory = await places.inventory()
        known = places.memory.calibration(machine_key(inventory))
        return MachineState(
            inventory=inventory,
            profiles=tuple(places.profiles().machines),
            calibration=to_info(known) if known is not None else None,
            job=self.jobs.state,
        )

    def begin_calibration(self) -> None:
        """Begin to measure this machine.

        Raises: AppError `conflict` while it is measured already.
        """
        job = MachineJob(kind="calibrate", fraction=0.0, words="Beginning")
        self.jobs.begin(job, self._calibrate)

    async def _calibrate(self, tell: Tell) -> None:
        places = await self.places()
        inventory = await places.inventory()
        found = await calibrate(
            self._tools,
            machine=machine_key(inventory),
            gpus=places.engine_gpus(inventory, self._paths.models),
            scratch=self._paths.cache,
            models=self._paths.models,
            tell=lambda fraction, words: tell(fraction, words, ()),
        )
        await asyncio.to_thread(places.memory.keep_calibration, found)

    def begin_tuning(self, ref: str, work: Work) -> None:
        """Begin to tune a model.

        Raises: AppError `conflict` while the machine is measured already.
        """
        self.jobs.begin(MachineJob(kind="tune", ref=ref, fraction=0.0, words="Beginning"), work)

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

    async def close(self) -> None:
        """End what is measured, and the session with the driver."""
        await self.jobs.cancel()
        if self._opened is not None:
            self._opened.close()
            self._opened = None
