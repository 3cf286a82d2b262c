"""Machines one could buy, from `resources/machines.toml`."""

from __future__ import annotations

import datetime
import tomllib
from pathlib import Path
from typing import Annotated, Final

import msgspec

from freehold.errors import AppError
from freehold.machine.plan.budgets import DiskBudget, GpuBudget, Machine, RamBudget
from freehold.machine.plan.cpu_speed import CpuSpeed
from freehold.machine.plan.speed import GpuSpeed, MachineSpeed
from freehold.paths import resources

SCHEMA: Final = 2
GB: Final = 1_000_000_000
# What an operating system and its programs take before a model comes.
SYSTEM_GIGABYTES: Final = 2.0
# Of peak bandwidth, what llama.cpp's kernels reach when they read weights for one token.
GPU_SHARE: Final = 0.55
RAM_SHARE: Final = 0.5
# Of peak arithmetic, what a long prompt reaches.
ARITHMETIC_SHARE: Final = 0.3
LAYER_S_GPU: Final = 60e-6
NODE_S_CPU: Final = 2.5e-6

Positive = Annotated[float, msgspec.Meta(gt=0)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=300)]


class GpuProfile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A card and its peak figures. estimated: the names of those without a source."""

    name: Text
    usable_gigabytes: Positive
    memory_gb_per_s: Positive
    tflops: Positive
    pcie_gb_per_s: Positive
    watts: Positive
    source: Text
    price_usd: Positive | None = None
    checked_on: datetime.date | None = None
    estimated: tuple[str, ...] = ()


class MachineProfile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole machine; `gpus` names cards of the same file. estimated: as of a card."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    title: Text
    ram_gigabytes: Positive
    ram_gb_per_s: Positive
    disk_gigabytes: Positive
    disk_gb_per_s: Positive
    cpu_tflops: Positive
    host_watts: Positive
    source: Text
    gpus: tuple[str, ...] = ()
    price_usd: Positive | None = None
    checked_on: datetime.date | None = None
    estimated: tuple[str, ...] = ()


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: int
    gpu: tuple[GpuProfile, ...]
    machine: tuple[MachineProfile, ...]


class Profiles:
    """The machines of a file, by name."""

    def __init__(self, gpus: dict[str, GpuProfile], machines: dict[str, MachineProfile]) -> None:
        self.gpus = gpus
        self.machines = machines

    def find(self, name: str) -> MachineProfile:
        """Return the machine called `name`.

        Raises: AppError `not_found` that names those there are.
        """
        if name not in self.machines:
            raise AppError(
                "not_found",
                f"There is no machine called {name[:60]!r}.",
                f"Known are: {', '.join(self.machines)}.",
                detail={"machines": list(self.machines)},
            )
        return self.machines[name]

    def budgets(self, profile: MachineProfile) -> Machine:
        """Return what the machine has for a model that is still to be downloaded."""
        ram = round(profile.ram_gigabytes * GB)
        disk = round(profile.disk_gigabytes * GB)
        return Machine(
            gpus=tuple(_gpu_budget(self.gpus[name]) for name in profile.gpus),
            ram=RamBudget(ram, round(ram - SYSTEM_GIGABYTES * GB)),
            disk=DiskBudget(disk, disk * 9 // 10, needs_room=True),
        )

    def speed(self, profile: MachineProfile) -> MachineSpeed:
        """Return how fast its parts are, from peak figures: an estimate."""
        return MachineSpeed(
            gpus=tuple(gpu_speed(self.gpus[name]) for name in profile.gpus),
            cpu=CpuSpeed.flat(
                profile.ram_gb_per_s * GB * RAM_SHARE, profile.cpu_tflops * 1e12, NODE_S_CPU
            ),
            disk_bytes_per_s=profile.disk_gb_per_s * GB,
            basis="estimated",
        )


def gpu_speed(card: GpuProfile) -> GpuSpeed:
    """Return what a card reaches of its peak figures."""
    return GpuSpeed(
        memory_bytes_per_s=card.memory_gb_per_s * GB * GPU_SHARE,
        flops=card.tflops * 1e12 * ARITHMETIC_SHARE,
        pcie_bytes_per_s=card.pcie_gb_per_s * GB,
        layer_s=LAYER_S_GPU,
    )


def _gpu_budget(card: GpuProfile) -> GpuBudget:
    size = round(card.usable_gigabytes * GB)
    return GpuBudget(card.name, size, size)


def read_profiles(path: Path | None = None) -> Profiles:
    """Return the machines that come with Freehold.

    Raises: AppError `storage_failed` when the file is missing or not as it should be.
    """
    file = resources() / "machines.toml" if path is None else path
    try:
        with file.open("rb") as stream:
            found = msgspec.convert(tomllib.load(stream), _File)
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise _unreadable(file, str(error)) from error
    gpus = {card.name: card for card in found.gpu}
    unknown = {name for machine in found.machine for name in machine.gpus} - gpus.keys()
    if found.schema != SCHEMA or unknown:
        raise _unreadable(file, f"schema {found.schema}, unknown cards: {sorted(unknown)}")
    return Profiles(gpus, {machine.name: machine for machine in found.machine})


def _unreadable(file: Path, reason: str) -> AppError:
    return AppError(
        "storage_failed",
        f"The list of machines that comes with Freehold cannot be read ({reason}).",
        "Install Freehold again.",
        detail={"path": str(file)},
    )
