"""How fast this machine is about, from a look at its memory and the makers' figures of its GPUs.

An estimate and called so: it knows nothing of llama.cpp's kernels on this processor.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
import psutil

from freehold.machine.calibration import Calibration
from freehold.machine.plan.cpu_speed import CpuSpeed
from freehold.machine.plan.speed import GpuSpeed, MachineSpeed
from freehold.machine.profiles import LAYER_S_GPU, NODE_S_CPU, Profiles, gpu_speed

BLOCK_BYTES: Final = 32 << 20
PASSES: Final = 3
MOST_THREADS: Final = 16
# Of what memory gives, what llama.cpp takes for weights; the rest is arithmetic.
WEIGHT_SHARE: Final = 0.6
# Arithmetic a core does on quantised weights, per second.
FLOPS_PER_CORE: Final = 40e9
# A disk nobody measured: a common SSD.
DISK_BYTES_PER_S: Final = 2e9


def measured_speed(
    found: Calibration, gpus: Sequence[tuple[str, str]], profiles: Profiles
) -> MachineSpeed:
    """Return a machine's speed from what was measured of it.

    gpus: (UUID, name); one that was not measured has its maker's figures.
    """
    return MachineSpeed(
        gpus=tuple(found.gpus.get(uuid) or _gpu(name, profiles) for uuid, name in gpus),
        cpu=found.cpu,
        disk_bytes_per_s=found.disk_bytes_per_s or DISK_BYTES_PER_S,
        basis="calibrated" if all(uuid in found.gpus for uuid, _ in gpus) else "estimated",
    )


def guess_speed(gpu_names: Sequence[str], profiles: Profiles) -> MachineSpeed:
    """Return an estimate of this machine's speed. Takes about a tenth of a second."""
    cores = psutil.cpu_count(logical=False) or 1
    memory = read_memory_speed(min(cores, MOST_THREADS))
    return MachineSpeed(
        gpus=tuple(_gpu(name, profiles) for name in gpu_names),
        cpu=CpuSpeed.flat(memory * WEIGHT_SHARE, cores * FLOPS_PER_CORE, NODE_S_CPU),
        disk_bytes_per_s=DISK_BYTES_PER_S,
        basis="estimated",
    )


def read_memory_speed(threads: int) -> float:
    """Return bytes per second that `threads` threads read together, the best of a few passes."""
    blocks = [np.ones(BLOCK_BYTES // 8, np.int64) for _ in range(threads)]
    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(PASSES):
            began = time.perf_counter()
            list(pool.map(np.add.reduce, blocks))
            best = max(best, threads * BLOCK_BYTES / (time.perf_counter() - began))
    return best


def _gpu(name: str, profiles: Profiles) -> GpuSpeed:
    """Return a card's figures by its name; an unknown one is taken for the slowest there is."""
    plain = name.removeprefix("NVIDIA ").replace("GeForce ", "").casefold()
    for card in sorted(profiles.gpus.values(), key=lambda card: -len(card.name)):
        if all(word in plain for word in card.name.casefold().split()):
            return gpu_speed(card)
    slowest = min(profiles.gpus.values(), key=lambda card: card.memory_gb_per_s)
    return GpuSpeed(
        memory_bytes_per_s=gpu_speed(slowest).memory_bytes_per_s / 2,
        flops=gpu_speed(slowest).flops / 2,
        pcie_bytes_per_s=12e9,
        layer_s=LAYER_S_GPU,
    )
