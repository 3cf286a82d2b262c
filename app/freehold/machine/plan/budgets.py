"""What each device of a machine has for a model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from freehold.units import MIB

GPU_RESERVE_BYTES: Final = 1_000_000_000
RAM_RESERVE_BYTES: Final = 2_000_000_000
# A process that uses CUDA holds this much besides what llama.cpp allocates. Assumed, not
# measured: it differs by driver and card.
GPU_CONTEXT_BYTES: Final = 500 * MIB


@dataclass(frozen=True, slots=True)
class Beside:
    """What is loaded beside a model: bytes with caches and working buffers."""

    draft_bytes: int = 0
    projector_bytes: int = 0

    @property
    def total(self) -> int:
        return self.draft_bytes + self.projector_bytes


@dataclass(frozen=True, slots=True)
class GpuBudget:
    """A GPU: what other programs leave of it, and what is to be kept free of that.

    compute_bytes: what llama.cpp's working buffers and the CUDA context take there.
    beside: a draft model and a projector that lie there too.
    """

    name: str
    total_bytes: int
    free_bytes: int
    reserve_bytes: int = GPU_RESERVE_BYTES
    compute_bytes: int = 0
    engine_device: str | None = None
    uuid: str = ""
    beside: Beside = Beside()

    @property
    def reserve(self) -> int:
        """Return the reserve as far as there is room for one."""
        return max(0, min(self.reserve_bytes, self.free_bytes))

    @property
    def room(self) -> int:
        """Return the bytes for weights and KV cache."""
        return self.free_bytes - self.reserve - self.compute_bytes - self.beside.total


@dataclass(frozen=True, slots=True)
class RamBudget:
    """The RAM: what programs can take without swapping, and what is to be kept free of that."""

    total_bytes: int
    free_bytes: int
    reserve_bytes: int = RAM_RESERVE_BYTES
    compute_bytes: int = 0
    beside: Beside = Beside()

    @property
    def reserve(self) -> int:
        """Return the reserve: at most a quarter of what is free."""
        return max(0, min(self.reserve_bytes, self.free_bytes // 4))

    @property
    def room(self) -> int:
        """Return the bytes for weights and KV cache."""
        return self.free_bytes - self.reserve - self.compute_bytes - self.beside.total


@dataclass(frozen=True, slots=True)
class DiskBudget:
    """The disk the model lies on, or is to lie on; `needs_room` if it is not there yet."""

    total_bytes: int
    free_bytes: int
    needs_room: bool = False


@dataclass(frozen=True, slots=True)
class Machine:
    """The devices of a machine, as the planner sees them. The order of GPUs is that of use."""

    gpus: tuple[GpuBudget, ...]
    ram: RamBudget
    disk: DiskBudget

    def with_beside(self, beside: Beside) -> Machine:
        """Return the machine with this loaded: on its first GPU with room for it, else in RAM."""
        for number, gpu in enumerate(self.gpus):
            if gpu.room >= beside.total:
                gpus = (*self.gpus[:number], replace(gpu, beside=beside), *self.gpus[number + 1 :])
                return replace(self, gpus=gpus)
        return replace(self, ram=replace(self.ram, beside=beside))
