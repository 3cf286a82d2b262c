"""The whole machine at a moment: GPUs by the driver, processor, memory and disks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from freehold.devices.nvml import GpuIdentity, GpuReading, Nvml
from freehold.machine import host
from freehold.wire_machine import Disk, Gpu, GpuProgram, Inventory

# Bits of NVML's clock event reasons that mean "slower than it could be", and what to call them.
THROTTLE_REASONS = {
    0x0000000000000004: "power limit",
    0x0000000000000008: "hardware slowdown",
    0x0000000000000020: "temperature (software)",
    0x0000000000000040: "temperature (hardware)",
    0x0000000000000080: "power brake",
}


def take_inventory(
    nvml: Nvml | None,
    gpu_note: str,
    folders: Sequence[Path],
    engine_devices: Mapping[str, str] | None = None,
) -> Inventory:
    """Return what the machine is made of now.

    nvml: an open session, or None with the reason in `gpu_note`.
    engine_devices: llama.cpp's device names by PCI id, as its worker reports them.
    """
    gpus: tuple[Gpu, ...] = ()
    if nvml is not None:
        names = {_pci_key(pci): name for pci, name in (engine_devices or {}).items()}
        gpus = tuple(
            describe_gpu(gpu, nvml.read(gpu.index, processes=True), names)
            for gpu in nvml.identities()
        )
        if not gpus:
            gpu_note = "The NVIDIA driver lists no GPU: models run on the CPU."
    return Inventory(
        gpus=gpus,
        cpu=host.read_cpu(),
        memory=host.read_memory(),
        disks=_disks(folders),
        driver=nvml.driver_version() if nvml is not None else None,
        gpu_note=gpu_note if not gpus else "",
    )


def describe_gpu(
    identity: GpuIdentity, reading: GpuReading, engine_names: Mapping[str, str]
) -> Gpu:
    """Join what a GPU is with what it does; figures that cannot be are left out."""
    total, used, free = plausible_memory(
        identity.memory_total_bytes, reading.memory_used_bytes, reading.memory_free_bytes
    )
    capability = identity.compute_capability
    return Gpu(
        index=identity.index,
        uuid=identity.uuid,
        name=identity.name,
        pci_id=identity.pci_id,
        total_bytes=total,
        free_bytes=free,
        used_bytes=used,
        compute_capability=f"{capability[0]}.{capability[1]}" if capability else None,
        temperature_c=reading.temperature_c,
        power_watts=reading.power_watts,
        power_limit_watts=identity.power_limit_watts,
        load_percent=reading.load_percent,
        pcie=describe_link(identity, reading),
        mig=identity.mig_enabled,
        ecc=identity.ecc_enabled,
        throttled=throttle_words(reading.throttle_reasons),
        programs=tuple(
            GpuProgram(pid=p.pid, name=host.program_name(p.pid), bytes=p.bytes)
            for p in reading.processes
        ),
        lost=reading.lost,
        engine_device=engine_names.get(_pci_key(identity.pci_id)),
    )


def plausible_memory(
    total: int | None, used: int | None, free: int | None
) -> tuple[int | None, int | None, int | None]:
    """Return (total, used, free), each None where the driver's figures contradict each other."""
    if total is None:
        return None, None, None
    if free is not None and free > total:
        free = None
    if used is not None and used > total:
        used = None
    return total, used, free


def describe_link(identity: GpuIdentity, reading: GpuReading) -> str | None:
    """Return the PCIe link now and at best, `PCIe 5 x8 of 5 x16`."""
    if reading.pcie_generation is None or reading.pcie_width is None:
        return None
    now = f"PCIe {reading.pcie_generation} x{reading.pcie_width}"
    if identity.pcie_generation_max is None or identity.pcie_width_max is None:
        return now
    best = (identity.pcie_generation_max, identity.pcie_width_max)
    if best == (reading.pcie_generation, reading.pcie_width):
        return now
    return f"{now} of {best[0]} x{best[1]}"


def throttle_words(reasons: int | None) -> tuple[str, ...]:
    """Return what slows a GPU down, in words."""
    if not reasons:
        return ()
    return tuple(words for bit, words in THROTTLE_REASONS.items() if reasons & bit)


def _disks(folders: Sequence[Path]) -> tuple[Disk, ...]:
    found: dict[tuple[str, int], Disk] = {}
    for folder in folders:
        disk = host.read_disk(folder)
        if disk is not None:
            found.setdefault((disk.device, disk.total_bytes), disk)
    return tuple(found.values())


def _pci_key(pci_id: str) -> str:
    """Return a PCI id as drivers agree on it: `01:00.0`, the domain only where it is not zero."""
    domain, _, rest = pci_id.lower().rpartition(":")[0].partition(":")
    if not rest:
        return pci_id.lower()
    bus_and_slot = pci_id.lower().split(":", 1)[1]
    return bus_and_slot if not domain.strip("0") else pci_id.lower()
