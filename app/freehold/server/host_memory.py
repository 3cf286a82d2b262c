"""How much memory there is for models, and whether one can fit at all."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import psutil

from freehold.errors import AppError
from freehold.units import format_bytes
from freehold.wire import LoadRequest, ModelEntry


@dataclass(frozen=True, slots=True)
class HostMemory:
    """RAM and GPU memory together, in bytes."""

    total_bytes: int
    available_bytes: int


def read_host_memory() -> HostMemory:
    """Return what the machine has now; GPUs count where the driver answers."""
    ram = psutil.virtual_memory()
    gpu_total, gpu_free = _read_gpu_memory()
    return HostMemory(ram.total + gpu_total, ram.available + gpu_free)


def _read_gpu_memory() -> tuple[int, int]:
    import pynvml

    total = free = 0
    with contextlib.suppress(pynvml.NVMLError):
        pynvml.nvmlInit()
        try:
            for index in range(pynvml.nvmlDeviceGetCount()):
                info = pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByIndex(index))
                total, free = total + int(info.total), free + int(info.free)
        finally:
            pynvml.nvmlShutdown()
    return total, free


def check_fits(entry: ModelEntry, request: LoadRequest, memory: HostMemory) -> None:
    """Raise AppError `does_not_fit` for a model larger than all memory of the machine.

    Someone who asks for `memory="mmap"` by name accepts that it runs from the disk.
    """
    if entry.bytes <= memory.total_bytes or request.memory == "mmap":
        return
    raise AppError(
        "does_not_fit",
        f"{entry.ref} takes {format_bytes(entry.bytes)}, and this machine has "
        f"{format_bytes(memory.total_bytes)} of memory in all.",
        "Choose a smaller variant, or load it with memory = mmap to run it slowly from the disk.",
        detail={"needed_bytes": entry.bytes, "total_bytes": memory.total_bytes},
    )
