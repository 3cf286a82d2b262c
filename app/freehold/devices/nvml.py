"""The one door to NVIDIA's management library (NVML).

NVML is read without a CUDA context, so looking at a GPU never wakes it or costs memory on it.
Every field is optional: a driver that does not know one gives None, never a made-up number.
`tests/doubles/nvml.py` stands in for the library.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GpuIdentity:
    """What does not change while a GPU is there."""

    index: int
    uuid: str
    name: str
    pci_id: str
    memory_total_bytes: int | None
    compute_capability: tuple[int, int] | None
    power_limit_watts: float | None
    pcie_generation_max: int | None
    pcie_width_max: int | None
    mig_enabled: bool | None
    ecc_enabled: bool | None


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A program holding memory on a GPU; `bytes` is None where the driver does not say."""

    pid: int
    bytes: int | None


@dataclass(frozen=True, slots=True)
class GpuReading:
    """A GPU at a moment. `lost` is True once the driver says the GPU is gone."""

    index: int
    lost: bool = False
    energy_millijoules: int | None = None
    power_watts: float | None = None
    memory_used_bytes: int | None = None
    memory_free_bytes: int | None = None
    load_percent: int | None = None
    temperature_c: int | None = None
    pcie_generation: int | None = None
    pcie_width: int | None = None
    throttle_reasons: int | None = None
    processes: tuple[GpuProcess, ...] = ()


@dataclass(frozen=True, slots=True)
class PowerLimits:
    """The power limit a GPU has now, and between which it can be set, in whole watts."""

    name: str
    now_watts: int
    least_watts: int
    most_watts: int


class Nvml:
    """An open session with the driver; `close` ends it."""

    def __init__(self, library: ModuleType) -> None:
        self._library = library

    @classmethod
    def open(cls, library: ModuleType | None = None) -> tuple[Nvml | None, str]:
        """Return a session, or None and the reason in words.

        library: stands in for `pynvml`.
        """
        library = library or importlib.import_module("pynvml")
        try:
            library.nvmlInit()
        except library.NVMLError as error:
            return None, _no_driver(str(error))
        return cls(library), ""

    def close(self) -> None:
        """End the session; a driver that is already gone is not an error."""
        try:
            self._library.nvmlShutdown()
        except self._library.NVMLError as error:
            log.debug("NVML did not shut down: %s", error)

    def driver_version(self) -> str | None:
        """Return the driver's version."""
        return _text(self._ask(self._library.nvmlSystemGetDriverVersion))

    def identities(self) -> tuple[GpuIdentity, ...]:
        """Return every GPU that answers, in PCI order as NVML lists them."""
        count = self._ask(self._library.nvmlDeviceGetCount)
        found: list[GpuIdentity] = []
        for index in range(count if isinstance(count, int) and 0 < count <= 64 else 0):
            handle = self._handle(index)
            if handle is not None:
                found.append(self._identity(index, handle))
        return tuple(found)

    def _handle(self, index: int) -> Any | None:
        return self._ask(self._library.nvmlDeviceGetHandleByIndex, index)

    def _identity(self, index: int, handle: Any) -> GpuIdentity:
        lib = self._library
        memory = self._ask(lib.nvmlDeviceGetMemoryInfo, handle)
        capability = self._ask(lib.nvmlDeviceGetCudaComputeCapability, handle)
        limit = self._ask(lib.nvmlDeviceGetEnforcedPowerLimit, handle)
        pci = self._ask(lib.nvmlDeviceGetPciInfo, handle)
        mig = self._ask(lib.nvmlDeviceGetMigMode, handle)
        ecc = self._ask(lib.nvmlDeviceGetEccMode, handle)
        return GpuIdentity(
            index=index,
            uuid=_text(self._ask(lib.nvmlDeviceGetUUID, handle)) or f"gpu-{index}",
            name=_text(self._ask(lib.nvmlDeviceGetName, handle)) or "NVIDIA GPU",
            pci_id=(_text(getattr(pci, "busId", None)) or "").lower(),
            memory_total_bytes=_positive(getattr(memory, "total", None)),
            compute_capability=_pair(capability),
            power_limit_watts=_watts(limit),
            pcie_generation_max=_positive(
                self._ask(lib.nvmlDeviceGetMaxPcieLinkGeneration, handle)
            ),
            pcie_width_max=_positive(self._ask(lib.nvmlDeviceGetMaxPcieLinkWidth, handle)),
            mig_enabled=_first_flag(mig),
            ecc_enabled=_first_flag(ecc),
        )

    def read(self, index: int, *, processes: bool = False) -> GpuReading:
        """Return a GPU's figures now; a vanished GPU is `lost`, with every figure None."""
        lib = self._library
        try:
            handle = lib.nvmlDeviceGetHandleByIndex(index)
            # Power first: it is what tells whether the GPU is still there.
            milliwatts = self._must(lib.nvmlDeviceGetPowerUsage, handle)
        except lib.NVMLError:
            return GpuReading(index, lost=True)
        memory = self._ask(lib.nvmlDeviceGetMemoryInfo, handle)
        load = self._ask(lib.nvmlDeviceGetUtilizationRates, handle)
        return GpuReading(
            index=index,
            energy_millijoules=_whole(self._ask(lib.nvmlDeviceGetTotalEnergyConsumption, handle)),
            power_watts=_watts(milliwatts),
            memory_used_bytes=_whole(getattr(memory, "used", None)),
            memory_free_bytes=_whole(getattr(memory, "free", None)),
            load_percent=_percent(getattr(load, "gpu", None)),
            temperature_c=_temperature(
                self._ask(lib.nvmlDeviceGetTemperature, handle, lib.NVML_TEMPERATURE_GPU)
            ),
            pcie_generation=_positive(self._ask(lib.nvmlDeviceGetCurrPcieLinkGeneration, handle)),
            pcie_width=_positive(self._ask(lib.nvmlDeviceGetCurrPcieLinkWidth, handle)),
            throttle_reasons=_whole(
                self._ask(lib.nvmlDeviceGetCurrentClocksThrottleReasons, handle)
            ),
            processes=self._processes(handle) if processes else (),
        )

    def power_limits(self, index: int) -> PowerLimits | None:
        """Return a GPU's power limit and its bounds; None where it has none or is away."""
        lib = self._library
        handle = self._handle(index)
        if handle is None:
            return None
        now = _watts(self._ask(lib.nvmlDeviceGetPowerManagementLimit, handle))
        bounds = self._ask(lib.nvmlDeviceGetPowerManagementLimitConstraints, handle)
        if now is None or not isinstance(bounds, (list, tuple)) or len(bounds) != 2:
            return None
        least, most = (_watts(bound) for bound in bounds)
        if least is None or most is None or not 0 < least <= most:
            return None
        name = _text(self._ask(lib.nvmlDeviceGetName, handle)) or "NVIDIA GPU"
        return PowerLimits(name, round(now), round(least), round(most))

    def _processes(self, handle: Any) -> tuple[GpuProcess, ...]:
        running = self._ask(self._library.nvmlDeviceGetComputeRunningProcesses, handle) or ()
        return tuple(
            GpuProcess(item.pid, _whole(getattr(item, "usedGpuMemory", None))) for item in running
        )

    def _must(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call; None if the field is not supported; a lost GPU is an error."""
        try:
            return function(*args)
        except self._library.NVMLError as error:
            code = getattr(error, "value", None)
            if code == getattr(self._library, "NVML_ERROR_NOT_SUPPORTED", 3):
                return None
            raise

    def _ask(self, function: Callable[..., Any], *args: Any) -> Any | None:
        """Call; None for anything the driver does not answer."""
        try:
            return function(*args)
        except (self._library.NVMLError, UnicodeDecodeError) as error:
            log.debug("NVML %s: %s", getattr(function, "__name__", "call"), error)
            return None


def _no_driver(reason: str) -> str:
    if "Library Not Found" in reason or "library not found" in reason.lower():
        return "No NVIDIA driver is installed: models run on the CPU."
    if "mismatch" in reason.lower():
        return (
            "The NVIDIA driver and its library have different versions: restart the computer "
            "to finish the driver's update."
        )
    return f"The NVIDIA driver does not answer ({reason}): models run on the CPU."


def _text(value: object) -> str | None:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and 0 <= value < 2**63 else None


def _positive(value: object) -> int | None:
    found = _whole(value)
    return found or None


def _percent(value: object) -> int | None:
    found = _whole(value)
    return found if found is not None and found <= 100 else None


def _temperature(value: object) -> int | None:
    return value if isinstance(value, int) and -40 <= value <= 150 else None


def _watts(milliwatts: object) -> float | None:
    found = _whole(milliwatts)
    return found / 1000 if found is not None and found <= 10_000_000 else None


def _pair(value: object) -> tuple[int, int] | None:
    if isinstance(value, (tuple, list)) and len(value) == 2:
        return int(value[0]), int(value[1])
    return None


def _first_flag(value: object) -> bool | None:
    if isinstance(value, (tuple, list)) and value:
        return bool(value[0])
    return None
