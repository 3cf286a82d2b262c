"""The machines plans can be made for: this one as it is now, and those of the profiles."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from freehold.devices.nvml import Nvml
from freehold.machine.guessing import guess_speed, measured_speed
from freehold.machine.here import (
    ask_engine,
    budgets,
    engine_devices,
    engine_gpus,
    expert_kernels,
)
from freehold.machine.inventory import take_inventory
from freehold.machine.learning import run_key
from freehold.machine.memory import MachineMemory, machine_key
from freehold.machine.plan.budgets import Machine
from freehold.machine.plan.speed import MachineSpeed
from freehold.machine.planner import Place
from freehold.machine.profiles import Profiles, read_profiles
from freehold.paths import Paths
from freehold.wire import LoadRequest
from freehold.wire_machine import Inventory, RealRuns


class Places:
    """Looks at this machine and knows the profiles; NVML is asked in a thread."""

    def __init__(
        self,
        paths: Paths,
        nvml: Nvml | None,
        gpu_note: str,
        engine_names: tuple[str, ...],
        kernels: str = "",
        engine_devices: Mapping[str, str] | None = None,
    ) -> None:
        """Join them. engine_names: llama.cpp's GPUs in the bus's order; engine_devices: by PCI id,
        where it says them."""
        self.memory = MachineMemory(paths.data / "machine.json")
        self._paths = paths
        self._nvml = nvml
        self._gpu_note = gpu_note
        self._engine_names = engine_names
        self._kernels = kernels
        self._engine_devices = engine_devices or {}
        self.has_kernels = False
        self._profiles: Profiles | None = None
        self._guess: MachineSpeed | None = None

    async def inventory(self) -> Inventory:
        """Return this machine as it is now, with the speed of its disk if that was measured."""
        return await asyncio.to_thread(self._take_inventory)

    def _take_inventory(self) -> Inventory:
        found = take_inventory(
            self._nvml, self._gpu_note, [self._paths.models], self._engine_devices
        )
        if not self._engine_devices:
            found = _named_in_order(found, self._engine_names)
        found = msgspec.structs.replace(found, expert_kernels=self._kernels)
        known = self.memory.calibration(machine_key(found))
        if known is None or known.disk_bytes_per_s is None:
            return found
        first, *others = found.disks or (None,)
        if first is None:
            return found
        measured = msgspec.structs.replace(first, read_bytes_per_s=known.disk_bytes_per_s)
        return msgspec.structs.replace(found, disks=(measured, *others))

    def engine_gpus(self, inventory: Inventory, model: Path) -> dict[str, str]:
        """Return the driver's UUIDs of the GPUs that can be used, by llama.cpp's name."""
        here = budgets(inventory, self._engine_names, model)
        return {gpu.engine_device: gpu.uuid for gpu in here.gpus if gpu.engine_device}

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
        key = machine_key(inventory)
        return Place(here, await self._speed(key, here), runs=self._runs_of(key))

    async def _speed(self, machine: str, here: Machine) -> MachineSpeed:
        """Return this machine's speed: as measured, or a guess until it was."""
        known = self.memory.calibration(machine)
        if known is not None:
            gpus = [(gpu.uuid, gpu.name) for gpu in here.gpus]
            return measured_speed(known, gpus, self.profiles())
        if self._guess is None or len(self._guess.gpus) != len(here.gpus):
            names = [gpu.name for gpu in here.gpus]
            self._guess = await asyncio.to_thread(guess_speed, names, self.profiles())
        return self._guess

    def _runs_of(self, machine: str) -> Callable[[Path, LoadRequest], RealRuns | None]:
        def find(model: Path, load: LoadRequest) -> RealRuns | None:
            runs = self.memory.runs(run_key(machine, str(model), load))
            rate = runs.tokens_per_s if runs is not None else None
            if runs is None or rate is None:
                return None
            return RealRuns(
                decode_tokens_per_s=round(rate, 2), count=runs.count, correction=runs.ratio
            )

        return find

    def close(self) -> None:
        """End the session with the driver."""
        if self._nvml is not None:
            self._nvml.close()


async def open_places(paths: Paths) -> Places:
    """Open a session with the driver, if there is one, and ask llama.cpp for its GPUs."""
    nvml, note = await asyncio.to_thread(Nvml.open)
    report = await ask_engine() if nvml is not None else {}
    kernels = expert_kernels(report) if report else ""
    devices = engine_devices(report)
    places = Places(paths, nvml, note, engine_gpus(report), kernels, devices)
    places.has_kernels = (report.get("pack") or {}).get("state") == "loaded"
    return places


def _named_in_order(found: Inventory, names: Sequence[str]) -> Inventory:
    """Return the inventory with llama.cpp's names given out in the order of the bus."""
    gpus = tuple(
        msgspec.structs.replace(gpu, engine_device=name)
        for gpu, name in zip(found.gpus, [*names, *[None] * len(found.gpus)], strict=False)
    )
    return msgspec.structs.replace(found, gpus=gpus)
