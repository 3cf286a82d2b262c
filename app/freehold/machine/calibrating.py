"""Measures this machine: about twenty seconds of small models, memory, disk and GPUs."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import msgspec
import psutil

from freehold.engine.process import worker_environment
from freehold.engine.requests import LoadOptions, Placement
from freehold.errors import AppError
from freehold.gguf.shards import read_model
from freehold.machine.calibration import KINDS, Calibration, Gauged, fit_cpu, fit_gpu
from freehold.machine.disk_speed import read_disk_speed
from freehold.machine.gauge import Reading, gauged, quickest
from freehold.machine.guessing import read_memory_speed
from freehold.machine.host import read_cache
from freehold.machine.measuring import MeasureProcess
from freehold.machine.plan.kv import padded_cells
from freehold.machine.plan.shape import ModelShape, read_shape
from freehold.machine.plan.speed import GpuSpeed

log = logging.getLogger(__name__)

COPY_S: Final = 60.0
# (prompt, answer) tokens of each run of a gauge.
RUNS: Final[Mapping[str, tuple[tuple[int, int], ...]]] = {
    "few_nodes": ((16, 120), (512, 60), (2048, 60)),
    "many_nodes": ((16, 80),),
    "experts": ((512, 40),),
    "heads": ((512, 40), (2048, 40)),
    "latent": ((512, 40), (2048, 40)),
}
# Other programs disturb a run; both are seldom disturbed.
REPEATS: Final = 2
MATRIX_RUNS: Final = ((512, 36),)
GPU_RUNS: Final = ("few_nodes", "many_nodes", "q8_0")

MakeGauge = Callable[[str, Path], object]
Tell = Callable[[float, str], None]


async def copy_speeds(devices: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return how fast devices are written to, read from and copied on, measured in a child.

    Raises: AppError `internal` if a device could not be measured.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "freehold.engine.copy_speed",
        *devices,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=worker_environment(os.environ),
    )
    try:
        async with asyncio.timeout(COPY_S):
            output, _ = await process.communicate()
        found = msgspec.convert(json.loads(output or b"{}"), dict[str, dict[str, float]])
    except (TimeoutError, ValueError) as error:
        log.warning("copying to %s could not be measured: %s", devices, type(error).__name__)
        found = {}
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if set(devices) - set(found):
        raise AppError(
            "internal",
            f"The speed of {', '.join(devices)} could not be measured.",
            "Try again; `freehold doctor` says whether the GPU works.",
        )
    return found


class OpenGauge(Protocol):
    """What can be measured once it is loaded."""

    async def run(self, prompt_tokens: int, decode_tokens: int, streams: int = 1) -> Reading: ...


@dataclass(frozen=True, slots=True)
class Tools:
    """What measuring needs of the world; tests put doubles in their place.

    make: writes one of the library's gauges. load: loads one. ask_nodes: how many nodes its graph
    has. copy_speeds: bytes per second by llama.cpp's device name and kind.
    """

    make: MakeGauge
    load: Callable[[LoadOptions], AbstractAsyncContextManager[OpenGauge]] = gauged
    copy_speeds: Callable[[Sequence[str]], Awaitable[dict[str, dict[str, float]]]] = copy_speeds


async def calibrate(
    tools: Tools,
    *,
    machine: str,
    gpus: Mapping[str, str],
    scratch: Path,
    models: Path,
    tell: Tell,
) -> Calibration:
    """Measure this machine.

    gpus: driver's UUIDs by llama.cpp's device name. scratch: where gauges are written to and
    removed again. models: the folder whose disk is read.
    Raises: AppError `storage_failed` when there is no room for the gauges; as engines do.
    """
    names = [*RUNS, *KINDS]
    steps = 2 + len(names) + 2 * len(gpus)
    began = time.time()
    load = os.getloadavg()[0]
    tell(0.0, "Reading from the disk")
    disk = await asyncio.to_thread(read_disk_speed, models)
    tell(1 / steps, "Reading from memory")
    threads = os.cpu_count() or 1
    ram = await asyncio.to_thread(read_memory_speed, threads)
    child = await MeasureProcess.start()
    found: dict[str, Gauged] = {}
    speeds: dict[str, GpuSpeed] = {}
    try:
        await asyncio.to_thread(scratch.mkdir, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=scratch, prefix="gauges-") as folder:
            for number, name in enumerate(names):
                tell((2 + number) / steps, f"Running small models: {number + 1} of {len(names)}")
                path = Path(folder) / f"{name}.gguf"
                found[name] = await _measure(tools, child, name, path)
                if not gpus or name not in GPU_RUNS:
                    path.unlink(missing_ok=True)
            for number, device in enumerate(gpus):
                tell((2 + len(names) + 2 * number) / steps, f"Measuring {device}")
                speeds[gpus[device]] = await _measure_gpu(tools, child, device, Path(folder))
    except OSError as error:
        raise AppError(
            "storage_failed",
            f"The small models for measuring could not be written: {error.strerror}.",
            "Make room on the disk; they take 700 MB for a moment.",
        ) from error
    finally:
        await child.close()
    tell(1.0, "Done")
    return Calibration(
        machine=machine,
        taken_at=began,
        cpu=fit_cpu(found, read_cache()),
        ram_bytes_per_s=ram,
        disk_bytes_per_s=disk,
        gpus=speeds,
        load=load,
    )


def physical_cores() -> int:
    """Return the cores an engine uses if nobody says otherwise."""
    allowed = len(psutil.Process().cpu_affinity() or ()) or 1
    return min(psutil.cpu_count(logical=False) or allowed, allowed)


async def _measure(
    tools: Tools, child: MeasureProcess, name: str, path: Path, device: str | None = None
) -> Gauged:
    if not await asyncio.to_thread(path.exists):
        await asyncio.to_thread(tools.make, name, path)
    shape: ModelShape = await asyncio.to_thread(lambda: read_shape(read_model(path)))
    wanted = RUNS.get(name, MATRIX_RUNS)
    options = LoadOptions(
        path=str(path),
        placement=Placement(devices=() if device is None else (device,)),
        # No more than the longest run needs: prefixes kept from runs before would be in the way.
        context_tokens=padded_cells(max(prompt + answer for prompt, answer in wanted) + 1),
        memory="read",
        # Trying numbers of threads takes longer than a gauge runs.
        threads=None if device else physical_cores(),
    )
    said = await child.ask(options)
    runs = []
    async with tools.load(options) as gauge:
        for prompt, answer in wanted:
            tried = [await gauge.run(prompt, answer) for _ in range(REPEATS)]
            runs.append(quickest(tried))
    nodes = said.nodes if said is not None else None
    return Gauged(shape, nodes or 1, tuple(runs))


async def _measure_gpu(tools: Tools, child: MeasureProcess, device: str, folder: Path) -> GpuSpeed:
    """Measure a GPU as llama.cpp uses it, and the bus to it."""
    few, many, matrix = [
        await _measure(tools, child, name, folder / f"{name}.gguf", device) for name in GPU_RUNS
    ]
    copied = await tools.copy_speeds([device])
    return fit_gpu(few, many, matrix, copied[device]["upload"])
