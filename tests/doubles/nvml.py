"""A stand-in for `pynvml`, with scripted GPUs and the faults real drivers have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any


class NVMLError(Exception):
    """An error with NVML's code, as the real binding raises it."""

    def __init__(self, value: int, text: str) -> None:
        super().__init__(text)
        self.value = value


NOT_SUPPORTED = 3
GPU_IS_LOST = 15


@dataclass(eq=False)
class FakeGpu:
    """One GPU. `watts` may be a function of the clock; `unsupported` names functions it lacks."""

    name: str = "NVIDIA H100 PCIe"
    memory_total: int = 80 * 1024**3
    memory_used: int = 1024**3
    watts: Callable[[float], float] | float = 120.0
    load: int = 0
    temperature: int = 40
    capability: tuple[int, int] = (9, 0)
    limit_watts: float = 350.0
    mig: bool = False
    lost: bool = False
    unsupported: set[str] = field(default_factory=set)
    counter_millijoules: int = 0


class FakeNvml:
    """Behaves like the module `pynvml` as far as `devices.nvml` uses it."""

    NVMLError = NVMLError
    NVML_ERROR_NOT_SUPPORTED = NOT_SUPPORTED
    NVML_TEMPERATURE_GPU = 0

    def __init__(self, gpus: list[FakeGpu], *, init_error: str | None = None) -> None:
        self.gpus = gpus
        self.init_error = init_error
        self.now_s = 0.0
        self.shut_down = 0
        self.garbage: dict[str, Any] = {}

    def advance(self, seconds: float) -> None:
        """Let time pass: every counter grows by the GPU's power."""
        for gpu in self.gpus:
            gpu.counter_millijoules += round(self._watts(gpu) * seconds * 1000)
        self.now_s += seconds

    def clock(self) -> float:
        return self.now_s

    def _watts(self, gpu: FakeGpu) -> float:
        return gpu.watts(self.now_s) if callable(gpu.watts) else gpu.watts

    def nvmlInit(self) -> None:
        if self.init_error is not None:
            raise NVMLError(9, self.init_error)

    def nvmlShutdown(self) -> None:
        self.shut_down += 1

    def nvmlSystemGetDriverVersion(self) -> str:
        return "580.65.06"

    def nvmlDeviceGetCount(self) -> Any:
        return self.garbage.get("count", len(self.gpus))

    def nvmlDeviceGetHandleByIndex(self, index: int) -> FakeGpu:
        if not 0 <= index < len(self.gpus):
            raise NVMLError(2, "Invalid Argument")
        return self._alive(self.gpus[index], "nvmlDeviceGetHandleByIndex")

    def _alive(self, gpu: FakeGpu, function: str) -> FakeGpu:
        if gpu.lost:
            raise NVMLError(GPU_IS_LOST, "GPU is lost")
        if function in gpu.unsupported:
            raise NVMLError(NOT_SUPPORTED, "Not Supported")
        return gpu

    def __getattr__(self, name: str) -> Any:
        answers: dict[str, Callable[[FakeGpu], Any]] = {
            "nvmlDeviceGetName": lambda g: g.name,
            "nvmlDeviceGetUUID": lambda g: f"GPU-{self.gpus.index(g):04}",
            "nvmlDeviceGetPciInfo": lambda g: SimpleNamespace(
                busId=f"00000000:{self.gpus.index(g) + 1:02X}:00.0".encode()
            ),
            "nvmlDeviceGetMemoryInfo": lambda g: SimpleNamespace(
                total=g.memory_total, used=g.memory_used, free=g.memory_total - g.memory_used
            ),
            "nvmlDeviceGetCudaComputeCapability": lambda g: g.capability,
            "nvmlDeviceGetEnforcedPowerLimit": lambda g: round(g.limit_watts * 1000),
            "nvmlDeviceGetPowerManagementLimit": lambda g: round(g.limit_watts * 1000),
            "nvmlDeviceGetPowerManagementLimitConstraints": lambda _g: [200_000, 350_000],
            "nvmlDeviceGetMaxPcieLinkGeneration": lambda g: 5,
            "nvmlDeviceGetMaxPcieLinkWidth": lambda g: 16,
            "nvmlDeviceGetCurrPcieLinkGeneration": lambda g: 5,
            "nvmlDeviceGetCurrPcieLinkWidth": lambda g: 8,
            "nvmlDeviceGetMigMode": lambda g: (int(g.mig), int(g.mig)),
            "nvmlDeviceGetEccMode": lambda g: (1, 1),
            "nvmlDeviceGetPowerUsage": lambda g: round(self._watts(g) * 1000),
            "nvmlDeviceGetTotalEnergyConsumption": lambda g: g.counter_millijoules,
            "nvmlDeviceGetUtilizationRates": lambda g: SimpleNamespace(gpu=g.load, memory=0),
            "nvmlDeviceGetTemperature": lambda g: g.temperature,
            "nvmlDeviceGetCurrentClocksThrottleReasons": lambda g: 0,
            "nvmlDeviceGetComputeRunningProcesses": lambda g: [
                SimpleNamespace(pid=4242, usedGpuMemory=g.memory_used)
            ],
        }
        if name not in answers:
            raise AttributeError(name)

        def call(gpu: FakeGpu, *_: Any) -> Any:
            answer = answers[name](self._alive(gpu, name))
            return self.garbage.get(name, answer)

        return call
