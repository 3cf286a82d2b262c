"""Values of the machine part of Freehold's API: the inventory, and what fits where.

Every field of the inventory that could not be read is None. Bytes are bytes of the server's
machine.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from freehold.wire import LoadRequest

Verdict = Literal["gpu", "gpu+ram", "disk", "no"]
Basis = Literal["measured", "calibrated", "estimated"]
TierKind = Literal["gpu", "ram", "disk"]

# From best to worst.
VERDICTS: tuple[Verdict, ...] = ("gpu", "gpu+ram", "disk", "no")


class Value(msgspec.Struct, frozen=True):
    """A frozen value of the API."""


# --- what the machine is made of -------------------------------------------------------------


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


class MachineState(Value, frozen=True, kw_only=True):
    """Everything the Machine page shows that does not depend on a model."""

    inventory: Inventory
    profiles: tuple[str, ...] = ()


# --- what fits where -------------------------------------------------------------------------


class Parts(Value, frozen=True, kw_only=True):
    """Where a device's bytes go; they sum to its `used_bytes`.

    dense: embeddings, norms and feed-forward layers without experts. reserve: kept free.
    """

    attention: int = 0
    experts: int = 0
    shared_experts: int = 0
    dense: int = 0
    kv_cache: int = 0
    compute: int = 0
    projector: int = 0
    draft: int = 0
    reserve: int = 0

    @property
    def total(self) -> int:
        """Return the sum."""
        return sum(getattr(self, name) for name in self.__struct_fields__)

    @property
    def weights(self) -> int:
        """Return the bytes of the model's file among them."""
        return self.attention + self.experts + self.shared_experts + self.dense

    def plus(self, other: Parts) -> Parts:
        """Return both together."""
        return Parts(
            **{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__}
        )


class DevicePlan(Value, frozen=True, kw_only=True):
    """One GPU, the RAM or the disk in a plan. used_bytes includes the reserve.

    layers: whole layers computed here; expert_layers: layers whose experts lie here.
    engine_device: llama.cpp's name; pinned: a person put something here by hand.
    """

    name: str
    kind: TierKind
    total_bytes: int
    free_bytes: int
    used_bytes: int
    parts: Parts
    layers: int = 0
    expert_layers: int = 0
    engine_device: str | None = None
    pinned: bool = False


class Plan(Value, frozen=True, kw_only=True):
    """What fits, where, why, and how fast.

    load: how to load it so. exact: whether llama.cpp itself gave the sizes. ways_out: what
    would help when the verdict is "no". needed_bytes: everything but reserves.
    """

    verdict: Verdict
    devices: tuple[DevicePlan, ...]
    reasons: tuple[str, ...]
    decode_tokens_per_s: float | None
    prefill_tokens_per_s: float | None
    basis: Basis
    context_tokens: int
    parallel: int
    kv_type: str
    needed_bytes: int
    load: LoadRequest
    exact: bool = False
    ways_out: tuple[str, ...] = ()


class PlanRequest(Value, frozen=True, kw_only=True):
    """A question to the planner; None and () let it choose.

    ref: a model of the library. devices: GPUs to use, in order, by llama.cpp's name or the
    driver's number; () for the CPU alone. reserve_bytes: kept free on each GPU, in `devices`'
    order or one for all. cpu_expert_layers, gpu_layers: pins. machine: a profile's name.
    """

    ref: str
    context_tokens: int | None = None
    parallel: int = 4
    kv_type: str = "f16"
    devices: tuple[str, ...] | None = None
    main_gpu: int = 0
    split_mode: Literal["none", "layer", "row"] = "layer"
    tensor_split: tuple[float, ...] = ()
    reserve_bytes: tuple[int, ...] = ()
    cpu_expert_layers: int | None = None
    gpu_layers: int | None = None
    machine: str = ""
