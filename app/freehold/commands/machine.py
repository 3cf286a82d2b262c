"""`freehold machine`: what this machine is made of."""

from __future__ import annotations

import argparse
import json

import msgspec

from freehold.devices.nvml import Nvml
from freehold.machine.inventory import take_inventory
from freehold.paths import user_paths
from freehold.power.sources import RaplSource as Rapl
from freehold.power.sources import Source, find_rapl, gpu_sources
from freehold.units import format_bytes
from freehold.wire_machine import Gpu, Inventory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Print the inventory and the meters."""
    paths = user_paths()
    paths.create()
    nvml, note = Nvml.open()
    try:
        inventory = take_inventory(nvml, note, [paths.models])
        sources: list[Source] = list(gpu_sources(nvml)) if nvml is not None else []
    finally:
        if nvml is not None:
            nvml.close()
    access = find_rapl()
    sources += [Rapl(zone) for zone in access.zones]
    meters = [
        {"source": s.meter.source, "level": s.meter.level, "error": s.meter.error_share}
        for s in sources
    ] or [{"source": "estimate from load", "level": "estimate", "error": 0.5}]
    if args.json:
        print(json.dumps({**msgspec.to_builtins(inventory), "meters": meters}))
        return 0
    for line in describe(inventory):
        print(line)
    for meter in meters:
        print(f"Meter    {meter['source']} ({meter['level']}, ± {meter['error']:.0%})")
    if access.denied:
        print("         The processor's energy counters may not be read. This udev rule allows it:")
        print(f"         {access.udev_rule}")
    return 0


def describe(inventory: Inventory) -> list[str]:
    """Return the inventory as lines for a person."""
    cpu, memory = inventory.cpu, inventory.memory
    lines = [f"GPU      {_gpu_line(gpu)}" for gpu in inventory.gpus]
    if inventory.gpu_note:
        lines.append(f"GPU      {inventory.gpu_note}")
    threads = f", {cpu.threads} threads" if cpu.has_smt else ""
    nodes = f", {cpu.numa_nodes} NUMA nodes" if cpu.numa_nodes > 1 else ""
    lines.append(f"CPU      {cpu.name}: {cpu.cores} cores{threads}{nodes}")
    if cpu.features:
        lines.append(f"         {' '.join(cpu.features)}")
    lines.append(
        f"Memory   {format_bytes(memory.usable_bytes)} available of "
        f"{format_bytes(memory.total_bytes)}"
    )
    lines += [
        f"Disk     {format_bytes(disk.free_bytes)} free of {format_bytes(disk.total_bytes)} "
        f"in {disk.folder}"
        for disk in inventory.disks
    ]
    return lines


def _gpu_line(gpu: Gpu) -> str:
    if gpu.lost:
        return f"{gpu.index}  {gpu.name}: the driver has lost it; restart the computer."
    parts = [f"{gpu.index}  {gpu.name}"]
    if gpu.total_bytes is not None and gpu.free_bytes is not None:
        parts.append(f"{format_bytes(gpu.free_bytes)} free of {format_bytes(gpu.total_bytes)}")
    if gpu.power_watts is not None:
        parts.append(f"{gpu.power_watts:.0f} W")
    if gpu.temperature_c is not None:
        parts.append(f"{gpu.temperature_c} °C")
    if gpu.pcie is not None:
        parts.append(gpu.pcie)
    if gpu.throttled:
        parts.append("slowed down by " + ", ".join(gpu.throttled))
    return ", ".join(parts)
