"""The machines plans can be made for: this one as it is now, and those of the profiles."""

from __future__ import annotations

import asyncio
from pathlib import Path

from freehold.devices.nvml import Nvml
from freehold.machine.guessing import guess_speed
from freehold.machine.here import budgets, engine_gpus
from freehold.machine.inventory import take_inventory
from freehold.machine.plan.speed import MachineSpeed
from freehold.machine.planner import Place
from freehold.machine.profiles import Profiles, read_profiles
from freehold.paths import Paths
from freehold.wire_machine import Inventory


class Places:
    """Looks at this machine and knows the profiles; NVML is asked in a thread."""

    def __init__(
        self, paths: Paths, nvml: Nvml | None, gpu_note: str, engine_names: tuple[str, ...]
    ) -> None:
        self._paths = paths
        self._nvml = nvml
        self._gpu_note = gpu_note
        self._engine_names = engine_names
        self._profiles: Profiles | None = None
        self._speed: MachineSpeed | None = None

    async def inventory(self) -> Inventory:
        """Return this machine as it is now."""
        return await asyncio.to_thread(
            take_inventory, self._nvml, self._gpu_note, [self._paths.models]
        )

    def profiles(self) -> Profiles:
        """Return the machines one could buy.

        Raises: AppError `storage_failed`.
        """
        if self._profiles is None:
            self._profiles = read_profiles()
        return self._profiles

    async def place(self, machine: str, model: Path) -> Place:
        """Return the machine to plan for: the profile named, or this one for "".

        Raises: AppError `not_found` for a profile there is not.
        """
        if machine:
            profiles = self.profiles()
            profile = profiles.find(machine)
            return Place(profiles.budgets(profile), profiles.speed(profile), is_here=False)
        inventory = await self.inventory()
        here = await asyncio.to_thread(budgets, inventory, self._engine_names, model)
        if self._speed is None:
            names = [gpu.name for gpu in here.gpus]
            self._speed = await asyncio.to_thread(guess_speed, names, self.profiles())
        return Place(here, self._speed)

    def close(self) -> None:
        """End the session with the driver."""
        if self._nvml is not None:
            self._nvml.close()


async def open_places(paths: Paths) -> Places:
    """Open a session with the driver, if there is one, and ask llama.cpp for its GPUs."""
    nvml, note = await asyncio.to_thread(Nvml.open)
    names = await engine_gpus() if nvml is not None else ()
    return Places(paths, nvml, note, names)
