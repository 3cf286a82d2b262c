"""`freehold machine`: what this machine is made of, and how fast it is."""

from __future__ import annotations

import argparse
import asyncio
import datetime
import json
import sys

import msgspec

from freehold.devices.nvml import Nvml
from freehold.library.model_maker.gauges import write_gauge
from freehold.machine.calibrating import Tools, calibrate
from freehold.machine.calibration import to_info
from freehold.machine.inventory import take_inventory
from freehold.machine.memory import MachineMemory, machine_key
from freehold.machine.service import open_places
from freehold.paths import Paths, user_paths
from freehold.power.sources import RaplSource as Rapl
from freehold.power.sources import Source, find_rapl, gpu_sources
from freehold.units import format_bytes
from freehold.wire_machine import CalibrationInfo, Gpu, Inventory

BUSY_LOAD = 0.7


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--calibrate",
        action="store_true",
        help="measure memory, processor, GPUs and disk first: about 20 seconds",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Print the inventory and the meters."""
    paths = user_paths()
    paths.create()
    if args.calibrate:
        asyncio.run(_calibrate(paths, quiet=args.json))
    nvml, note = Nvml.open()
    try:
        inventory = take_inventory(nvml, note, [paths.models])
        sources: list[Source] = list(gpu_sources(nvml)) if nvml is not None else []
    finally:
        if nvml is not None:
            nvml.close()
    known = MachineMemory(paths.data / "machine.json").calibration(machine_key(inventory))
    measured = to_info(known) if known is not None else None
    access = find_rapl()
    sources += [Rapl(zone) for zone in access.zones]
    meters = [
        {"source": s.meter.source, "level": s.meter.level, "error": s.meter.error_share}
        for s in sources
    ] or [{"source": "estimate from load", "level": "estimate", "error": 0.5}]
    if args.json:
        calibration = msgspec.to_builtins(measured)
        inside = msgspec.to_builtins(inventory)
        print(json.dumps({**inside, "meters": meters, "calibration": calibration}))
        return 0
    for line in [*describe(inventory), *describe_speed(measured)]:
        print(line)
    for meter in meters:
        print(f"Meter    {meter['source']} ({meter['level']}, ± {meter['error']:.0%})")
    if access.denied:
        print("         The processor's energy counters may not be read. This udev rule allows it:")
        print(f"         {access.udev_rule}")
    return 0


async def _calibrate(paths: Paths, *, quiet: bool) -> None:
    """Measure this machine in this process; a server that runs takes it from the file."""

    def tell(fraction: float, words: str) -> None:
        if not quiet and sys.stderr.isatty():
            print(f"\r{fraction:4.0%}  {words:<40}", end="", file=sys.stderr, flush=True)

    places = await open_places(paths)
    try:
        inventory = await places.inventory()
        found = await calibrate(
            Tools(write_gauge),
            machine=machine_key(inventory),
            gpus=places.engine_gpus(inventory, paths.models),
            scratch=paths.cache,
            models=paths.models,
            tell=tell,
        )
        places.memory.keep_calibration(found)
    finally:
        places.close()
        if not quiet and sys.stderr.isatty():
            print(file=sys.stderr)


def describe_speed(found: CalibrationInfo | None) -> list[str]:
    """Return what was measured as lines for a person."""
    if found is None:
        return ["Speed    not measured: `freehold machine --calibrate` takes about 20 seconds"]
    day = datetime.datetime.fromtimestamp(found.taken_at).astimezone()
    lines = [
        f"Speed    measured on {day:%Y-%m-%d %H:%M}: memory {rate_words(found.ram_bytes_per_s)}, "
        f"weights {rate_words(found.weight_bytes_per_s)}, "
        f"prompts {found.matrix_flops / 1e9:.0f} GFLOP/s"
    ]
    if found.disk_bytes_per_s is not None:
        lines.append(f"         models disk {rate_words(found.disk_bytes_per_s)}")
    lines += [
        f"         {gpu.uuid}: weights {rate_words(gpu.memory_bytes_per_s)}, "
        f"prompts {gpu.flops / 1e12:.1f} TFLOP/s, PCIe {rate_words(gpu.pcie_bytes_per_s)}"
        for gpu in found.gpus
    ]
    if found.load > BUSY_LOAD:
        lines.append(
            f"         other programs were busy meanwhile (load {found.load:.1f}): "
            "measure again when it is quiet"
        )
    return lines


def rate_words(bytes_per_s: float) -> str:
    """Return a rate as `17.9 GB/s`."""
    return f"{format_bytes(round(bytes_per_s))}/s"


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
