"""`MachineClient` without a server: GPUs and models that a test sets, planned by the real planner.

    client.machine.gpus = [gpu("H100 PCIe", 85.5, used=2.1)]
    client.machine.shapes["kimi"] = kimi_shape()
    client.machine.fail_next("machine.plan", AppError(...))

llama.cpp is not asked: sizes are the planner's own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import msgspec

from freehold.errors import AppError
from freehold.machine.here import budgets
from freehold.machine.plan.budgets import Machine
from freehold.machine.plan.kv import KvShape
from freehold.machine.plan.planning import make_plan
from freehold.machine.plan.question import ask
from freehold.machine.plan.shape import Layer, ModelShape
from freehold.machine.plan.speed import MachineSpeed, with_speed
from freehold.machine.plan.work import Work
from freehold.machine.profiles import read_profiles
from freehold.wire import ErrorInfo, LoadRequest
from freehold.wire_machine import (
    CalibrationInfo,
    Cpu,
    Disk,
    Gpu,
    GpuProgram,
    Inventory,
    MachineJob,
    MachineState,
    Memory,
    ModelSetup,
    Parts,
    Plan,
    PlanRequest,
    RealRuns,
    TuneResult,
)

GB = 10**9
NVME_FILE = Path("/model.gguf")
EPYC = Cpu(
    name="AMD EPYC 9355 32-Core Processor", sockets=1, cores=32, threads=64, numa_nodes=2,
    features=("avx2", "avx512f", "avx512_vnni"),
)  # fmt: skip
NVME = Disk(
    folder="/home/ada/.local/share/freehold/models", device="/dev/nvme0n1p2", file_system="ext4",
    total_bytes=4000 * GB, free_bytes=1830 * GB, rotational=False,
)  # fmt: skip


def gpu(name: str, size: float, *, index: int = 0, used: float = 0.4, lost: bool = False) -> Gpu:
    """Return a GPU of `size` gigabytes."""
    total, held = round(size * GB), round(used * GB)
    return Gpu(
        index=index, uuid=f"GPU-{index:04}", name=f"NVIDIA {name}",
        pci_id=f"0000:{index + 1:02x}:00.0", total_bytes=total, free_bytes=total - held,
        used_bytes=held, compute_capability="9.0", temperature_c=41 + index,
        power_watts=68.0 + index, power_limit_watts=350.0, load_percent=3 * index,
        pcie="PCIe 5 x16", mig=False, ecc=True, lost=lost, engine_device=f"CUDA{index}",
        programs=(GpuProgram(pid=4242, name="Xorg", bytes=held),),
    )  # fmt: skip


def memory(total: float, free: float) -> Memory:
    """Return RAM in gigabytes."""
    return Memory(
        total_bytes=round(total * GB), available_bytes=round(free * GB), swap_bytes=8 * GB,
        huge_page_bytes=2 << 20, huge_pages_free=0, transparent_huge_pages="madvise",
    )  # fmt: skip


def moe_shape(
    name: str, layers: int, *, base: int, expert: int, experts: int, used: int, kv: KvShape
) -> ModelShape:
    """Return a model whose first layer is dense and whose others have experts."""
    rows = tuple(
        Layer(
            Parts(attention=base * 6 // 10, shared_experts=base // 4, dense=base * 15 // 100),
            expert if number else 0,
            kv,
        )
        for number in range(layers)
    )
    table = 900_000_000
    total = sum(row.base.total + row.expert_bytes for row in rows) + 2 * table
    return ModelShape(
        name=name, architecture="deepseek2", layers=rows, input_bytes=table, output_bytes=table,
        is_tied=False, trained_tokens=131_072, experts=experts, experts_used=used, width=7168,
        vocabulary=163_840, parameters=total * 2, active_parameters=total // 16, file_bytes=total,
        work=Work(
            {"Q8_0": base * layers}, {"IQ2_XXS": expert * (layers - 1)}, {"Q6_K": table},
            head_rows=64 * layers, head_values=64 * layers * kv.k_values, is_latent=not kv.v_values,
        ),
    )  # fmt: skip


def kimi_shape() -> ModelShape:
    """Return Kimi K2 at about 245 GB."""
    return moe_shape(
        "Kimi K2 Instruct", 61, base=190_000_000, expert=3_910_000_000, experts=384, used=8,
        kv=KvShape(576, 0),
    )  # fmt: skip


def small_shape() -> ModelShape:
    """Return a model of some 18 GB."""
    return moe_shape(
        "Qwen3 30B A3B", 48, base=40_000_000, expert=310_000_000, experts=128, used=8,
        kv=KvShape(512, 512),
    )  # fmt: skip


class FakeMachine:
    """The machine part of a server in memory."""

    def __init__(
        self,
        enter: Callable[..., Awaitable[None]],
        fail_next: Callable[[str, AppError], None],
    ) -> None:
        self.gpus: list[Gpu] = [gpu("H100 PCIe", 85.5, used=2.1)]
        self.cpu = EPYC
        self.memory = memory(256, 231)
        self.shapes: dict[str, ModelShape] = {}
        self.default_shape = kimi_shape()
        self.calibration: CalibrationInfo | None = None
        self.job: MachineJob | None = None
        self.options: dict[str, LoadRequest] = {}
        self.tuned: dict[str, TuneResult] = {}
        self.real: RealRuns | None = None
        self.fail_next = fail_next
        self._enter = enter

    def inventory(self) -> Inventory:
        """Return the machine as the test has set it."""
        note = "No NVIDIA driver is installed: models run on the CPU."
        return Inventory(
            gpus=tuple(self.gpus), cpu=self.cpu, memory=self.memory, disks=(NVME,),
            driver="580.65.06" if self.gpus else None, gpu_note="" if self.gpus else note,
        )  # fmt: skip

    async def state(self) -> MachineState:
        await self._enter("machine.state")
        return self._state()

    def _state(self) -> MachineState:
        return MachineState(
            inventory=self.inventory(), profiles=tuple(read_profiles().machines),
            calibration=self.calibration, job=self.job,
        )  # fmt: skip

    async def calibrate(self) -> MachineState:
        await self._enter("machine.calibrate")
        self._begin(MachineJob(kind="calibrate", fraction=0.0, words="Beginning"))
        return self._state()

    async def tune(self, ref: str, budget_s: float = 180.0) -> MachineState:
        await self._enter("machine.tune", ref=ref, budget_s=budget_s)
        self._check(ref)
        self._begin(MachineJob(kind="tune", ref=ref, fraction=0.0, words="Beginning"))
        return self._state()

    def _begin(self, job: MachineJob) -> None:
        if self.job is not None and not self.job.is_over:
            raise AppError("conflict", "This machine is being measured already.", "Wait.")
        self.job = job

    async def cancel_job(self) -> MachineState:
        await self._enter("machine.cancel_job")
        if self.job is not None and not self.job.is_over:
            error = ErrorInfo(code="cancelled", message="It was cancelled.")
            self.job = msgspec.structs.replace(self.job, is_over=True, error=error)
        return self._state()

    async def setup(self, ref: str) -> ModelSetup:
        await self._enter("machine.setup", ref=ref)
        self._check(ref)
        return self._setup(ref)

    def _setup(self, ref: str) -> ModelSetup:
        return ModelSetup(
            ref=ref, options=self.options.get(ref, LoadRequest()), tuned=self.tuned.get(ref)
        )

    async def use_tuned(self, ref: str, *, as_tuned: bool) -> ModelSetup:
        await self._enter("machine.use_tuned", ref=ref, as_tuned=as_tuned)
        if ref not in self.tuned:
            raise AppError("not_found", f"{ref} was not tuned on this machine.", "Tune it first.")
        self.tuned[ref] = msgspec.structs.replace(self.tuned[ref], in_use=as_tuned)
        return self._setup(ref)

    def _check(self, ref: str) -> None:
        if ref == "missing":
            raise AppError("model_not_found", "There is no model called “missing”.", "Look again.")

    async def plan(self, request: PlanRequest) -> Plan:
        await self._enter("machine.plan", request=request)
        self._check(request.ref)
        shape = self.shapes.get(request.ref, self.default_shape)
        profiles = read_profiles()
        if request.machine:
            profile = profiles.find(request.machine)
            question, machine = ask(request, shape, profiles.budgets(profile))
            return with_speed(make_plan(shape, question, machine), shape, profiles.speed(profile))
        here = budgets(self.inventory(), (), NVME_FILE)
        question, machine = ask(request, shape, here)
        plan = make_plan(shape, question, machine)
        if self.calibration is not None:
            plan = with_speed(plan, shape, _speed_of(machine))
        return msgspec.structs.replace(plan, real=self.real)


def _speed_of(machine: Machine) -> MachineSpeed:
    """Return the speed of a fast processor and as many H100 as there are GPUs."""
    profiles = read_profiles()
    speed = profiles.speed(profiles.find("h100-512gb"))
    return replace(speed, gpus=speed.gpus[:1] * len(machine.gpus), basis="calibrated")
