"""This machine as the planner sees it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from freehold.engine.kernels import SWITCH_VARIABLE, describe, list_kernels, read_switch
from freehold.engine.process import worker_environment
from freehold.machine.plan.budgets import DiskBudget, GpuBudget, Machine, RamBudget
from freehold.wire_machine import Inventory

PROBE_S: Final = 20.0


def budgets(inventory: Inventory, engine_gpus: Sequence[str], model: Path) -> Machine:
    """Return what this machine has now, for a model whose file is there.

    engine_gpus: llama.cpp's names of the GPUs it can use, in the order of the PCI bus.
    A GPU whose figures cannot be, or that llama.cpp cannot use, is left out.
    """
    gpus = []
    is_matched = any(gpu.engine_device for gpu in inventory.gpus)
    names = iter(() if is_matched else engine_gpus)
    for gpu in inventory.gpus:
        name = gpu.engine_device or next(names, None)
        if name is None or gpu.lost or not gpu.total_bytes or gpu.free_bytes is None:
            continue
        gpus.append(
            GpuBudget(gpu.name, gpu.total_bytes, gpu.free_bytes, engine_device=name, uuid=gpu.uuid)
        )
    memory = inventory.memory
    total, free = _disk_room(model)
    return Machine(
        gpus=tuple(gpus),
        ram=RamBudget(memory.total_bytes, memory.usable_bytes),
        disk=DiskBudget(total, free),
    )


def _disk_room(model: Path) -> tuple[int, int]:
    try:
        usage = shutil.disk_usage(model.parent)
    except OSError:
        return 0, 0
    return usage.total, usage.free


async def ask_engine() -> Mapping[str, Any]:
    """Return what the native libraries say of themselves; empty if they cannot be asked."""
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "freehold.engine.probe",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=worker_environment(os.environ),
        )
    except OSError:
        return {}
    try:
        async with asyncio.timeout(PROBE_S):
            output, _ = await process.communicate()
        report = json.loads(output or b"{}")
    except (TimeoutError, ValueError):
        return {}
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return report if isinstance(report, dict) else {}


def engine_gpus(report: Mapping[str, Any]) -> tuple[str, ...]:
    """Return llama.cpp's names of the GPUs it can use."""
    found = report.get("devices", ())
    return tuple(str(device["name"]) for device in found if device.get("kind") == "GPU")


def engine_devices(report: Mapping[str, Any]) -> dict[str, str]:
    """Return llama.cpp's names of its GPUs by PCI id, as far as it knows them."""
    found = report.get("devices", ())
    return {
        str(device["pci"]): str(device["name"])
        for device in found
        if device.get("kind") == "GPU" and device.get("pci")
    }


def expert_kernels(report: Mapping[str, Any]) -> str:
    """Return one line about Freehold's expert kernels."""
    pack = report.get("pack") or {}
    switch = read_switch(os.environ.get(SWITCH_VARIABLE))
    return describe(list_kernels(pack, report.get("devices", ()), switch), pack)
