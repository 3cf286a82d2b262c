"""What this machine is made of, as values. Every field that could not be read is None."""

from __future__ import annotations

import msgspec


class Value(msgspec.Struct, frozen=True):
    """A frozen value that can be printed as JSON."""


class Cpu(Value, frozen=True, kw_only=True):
    """The processor. cores are physical, threads logical; features as Linux names them."""

    name: str
    sockets: int
    cores: int
    threads: int
    numa_nodes: int
    features: tuple[str, ...]

    @property
    def has_smt(self) -> bool:
        return self.threads > self.cores


class Memory(Value, frozen=True, kw_only=True):
    """RAM in bytes. available is what programs can take without swapping."""

    total_bytes: int
    available_bytes: int
    swap_bytes: int
    huge_page_bytes: int
    huge_pages_free: int
    transparent_huge_pages: str
    limit_bytes: int | None = None

    @property
    def usable_bytes(self) -> int:
        """Return what a model may take, honouring a container's limit."""
        if self.limit_bytes is None:
            return self.available_bytes
        return min(self.available_bytes, self.limit_bytes)


class Disk(Value, frozen=True, kw_only=True):
    """A file system a models folder lies on. read_bytes_per_s is measured, None until then."""

    folder: str
    device: str
    file_system: str
    total_bytes: int
    free_bytes: int
    rotational: bool | None = None
    read_bytes_per_s: float | None = None


class GpuProgram(Value, frozen=True, kw_only=True):
    """A program that holds memory on a GPU."""

    pid: int
    name: str
    bytes: int | None


class Gpu(Value, frozen=True, kw_only=True):
    """A GPU as the driver describes it, matched to llama.cpp's device by PCI id."""

    index: int
    uuid: str
    name: str
    pci_id: str
    total_bytes: int | None
    free_bytes: int | None
    used_bytes: int | None
    compute_capability: str | None
    temperature_c: int | None
    power_watts: float | None
    power_limit_watts: float | None
    load_percent: int | None
    pcie: str | None
    mig: bool | None
    ecc: bool | None
    throttled: tuple[str, ...] = ()
    programs: tuple[GpuProgram, ...] = ()
    lost: bool = False
    engine_device: str | None = None


class Inventory(Value, frozen=True, kw_only=True):
    """The machine at a moment. `gpu_note` says why there is no GPU, or "" where there is one."""

    gpus: tuple[Gpu, ...]
    cpu: Cpu
    memory: Memory
    disks: tuple[Disk, ...]
    driver: str | None
    gpu_note: str
