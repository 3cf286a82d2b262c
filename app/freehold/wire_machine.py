"""Values of the machine part of Freehold's API: the inventory, and what fits where.

Every field of the inventory that could not be read is None. Bytes are bytes of the server's
machine.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from freehold.wire import ErrorInfo, LoadRequest

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
    """The machine at a moment. `gpu_note` says why there is no GPU, or "" where there is one.

    expert_kernels: one line about Freehold's own kernels; "" where there is no driver for a GPU.
    """

    gpus: tuple[Gpu, ...]
    cpu: Cpu
    memory: Memory
    disks: tuple[Disk, ...]
    driver: str | None
    gpu_note: str
    expert_kernels: str = ""


class GpuCalibration(Value, frozen=True, kw_only=True):
    """What a GPU was measured to reach."""

    uuid: str
    memory_bytes_per_s: float
    flops: float
    pcie_bytes_per_s: float


class CalibrationInfo(Value, frozen=True, kw_only=True):
    """What was measured of the machine. taken_at: Unix time; load: that of other programs then.

    weight_bytes_per_s, matrix_flops: what llama.cpp reaches for quantised weights (Q8_0).
    """

    taken_at: float
    ram_bytes_per_s: float
    weight_bytes_per_s: float
    matrix_flops: float
    disk_bytes_per_s: float | None
    load: float
    gpus: tuple[GpuCalibration, ...] = ()


class TuneRow(Value, frozen=True, kw_only=True):
    """One setting that was tried. turn_s: a prompt and an answer; problem: why it did not run.

    words: the settings in words.
    """

    settings: LoadRequest
    words: str = ""
    decode_tokens_per_s: float = 0.0
    prefill_tokens_per_s: float = 0.0
    turn_s: float = 0.0
    took_s: float = 0.0
    problem: str = ""


class MachineJob(Value, frozen=True, kw_only=True):
    """A measurement under way, or the last one. left_s: about; None where nobody can say."""

    kind: Literal["calibrate", "tune"]
    fraction: float
    words: str
    ref: str = ""
    left_s: float | None = None
    is_over: bool = False
    error: ErrorInfo | None = None
    rows: tuple[TuneRow, ...] = ()


class TuneResult(Value, frozen=True, kw_only=True):
    """What tuning found for a model. best: the row that was kept; the first row was set before."""

    ref: str
    taken_at: float
    rows: tuple[TuneRow, ...]
    best: int
    in_use: bool


class TuneRequest(Value, frozen=True, kw_only=True):
    """Tune a model: try settings for so many seconds."""

    ref: str
    budget_s: Annotated[float, msgspec.Meta(ge=5, le=3600)] = 180.0


class TunedUse(Value, frozen=True, kw_only=True):
    """Load a model as tuned, or as before, from its next load on."""

    ref: str
    as_tuned: bool


class ModelSetup(Value, frozen=True, kw_only=True):
    """How a model is loaded next time if nobody says otherwise, and what tuning found for it."""

    ref: str
    options: LoadRequest
    tuned: TuneResult | None = None


class MachineState(Value, frozen=True, kw_only=True):
    """Everything the Machine page shows that does not depend on a model."""

    inventory: Inventory
    profiles: tuple[str, ...] = ()
    calibration: CalibrationInfo | None = None
    job: MachineJob | None = None


# --- what fits where -------------------------------------------------------------------------


class Parts(Value, frozen=True, kw_only=True):
    """Where a device's bytes go; they sum to its `used_bytes`.

    dense: embeddings, norms and feed-forward layers without experts. draft, projector: a draft
    model and a vision projector, with their caches and buffers. reserve: kept free.
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


class SpeedCurve(Value, frozen=True, kw_only=True):
    """Predicted seconds: of a token at a context, and of a prompt that starts an empty one.

    A token: token_s + context · token_context_s. A prompt: tokens · prompt_s + tokens² / 2 ·
    prompt_context_s.
    """

    token_s: float
    token_context_s: float
    prompt_s: float
    prompt_context_s: float

    def decode_s(self, context_tokens: float) -> float:
        """Return the seconds of one token."""
        return self.token_s + context_tokens * self.token_context_s

    def prefill_s(self, prompt_tokens: float) -> float:
        """Return the seconds of a prompt."""
        return prompt_tokens * self.prompt_s + prompt_tokens**2 / 2 * self.prompt_context_s


class RealRuns(Value, frozen=True, kw_only=True):
    """What this model ran at on this machine, placed so: the median of the last runs, and how
    many there were. correction: by what predicted seconds were multiplied."""

    decode_tokens_per_s: float
    count: int
    correction: float


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
    curve: SpeedCurve | None = None
    real: RealRuns | None = None


class PlanRequest(Value, frozen=True, kw_only=True):
    """A question to the planner; None and () let it choose.

    ref: a model of the library. devices: GPUs to use, in order, by llama.cpp's name or the
    driver's number; () for the CPU alone. draft, projector: paths of files to be counted, "" for
    none. reserve_bytes: kept free on each GPU, in `devices`'
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
    draft: str = ""
    projector: str = ""
    machine: str = ""
