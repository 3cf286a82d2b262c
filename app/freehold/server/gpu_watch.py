"""Notices a GPU that is gone while a model uses it: its engine ends with a clear error."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Protocol

from freehold.errors import AppError
from freehold.machine.service import Places
from freehold.wire import EngineState

log = logging.getLogger(__name__)

# Twice, and the ending of the engine, within ten seconds.
LOOK_S: Final = 3.0


class Engines(Protocol):
    """What the watch needs of the supervisor."""

    def states(self) -> tuple[EngineState, ...]: ...

    async def lose(self, device: str, error: AppError) -> None: ...


class GpuWatch:
    """Asks the driver while models are on GPUs, and never otherwise.

    A driver that lost a GPU may hang every call into it, so the engine cannot be asked.
    """

    def __init__(
        self,
        places: Callable[[], Awaitable[Places]],
        engines: Engines,
        models: Path,
        look_s: float = LOOK_S,
    ) -> None:
        self._places = places
        self._engines = engines
        self._models = models
        self._look_s = look_s
        self._seen: dict[str, tuple[str, str]] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._task = asyncio.create_task(self._watch(), name="gpu-watch")

    async def close(self) -> None:
        """End the watch."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._look_s)
            try:
                await self.look()
            except Exception:  # the watch goes on whatever one look brought
                log.exception("looking after the GPUs failed")

    async def look(self) -> None:
        """Look once: engines on a GPU that is gone are ended."""
        used = {
            device
            for state in self._engines.states()
            if state.phase == "ready"
            for device in state.devices
            if device != "CPU"
        }
        if not used:
            return
        places = await self._places()
        inventory = await places.inventory()
        names = {gpu.uuid: gpu.name for gpu in inventory.gpus if not gpu.lost}
        for device, uuid in places.engine_gpus(inventory, self._models).items():
            self._seen.setdefault(device, (uuid, names.get(uuid, device)))
        for device in used & self._seen.keys():
            uuid, name = self._seen[device]
            if uuid not in names:
                log.warning("%s (%s) is gone", device, name)
                await self._engines.lose(device, gone(device, name))


def gone(device: str, name: str) -> AppError:
    """Return the error of a model whose GPU is gone."""
    return AppError(
        "engine_crashed",
        f"The GPU {name} ({device}) does not answer any more: the driver has lost it.",
        "Restart the computer to get it back. Until then the model can run on the processor: "
        "load it again with “CPU only”.",
        detail={"device": device, "fallback": "cpu"},
    )
