"""The NVML door: 0 to 8 GPUs, missing fields, vanished GPUs, and drivers that answer rubbish."""

from __future__ import annotations

import pytest

from doubles.nvml import FakeGpu, FakeNvml
from freehold.devices.nvml import Nvml


def opened(library: FakeNvml) -> Nvml:
    nvml, reason = Nvml.open(library)  # type: ignore[arg-type]
    assert nvml is not None, reason
    return nvml


@pytest.mark.parametrize("count", [0, 1, 2, 8])
def test_every_gpu_is_listed_once_with_its_pci_id(count: int) -> None:
    nvml = opened(FakeNvml([FakeGpu() for _ in range(count)]))
    gpus = nvml.identities()
    assert len({gpu.pci_id for gpu in gpus}) == count
    assert all(gpu.compute_capability == (9, 0) for gpu in gpus)
    assert all(gpu.pci_id.endswith(":00.0") for gpu in gpus)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("NVML Shared Library Not Found", "No NVIDIA driver is installed"),
        ("RM has detected an NVML/RM version mismatch.", "restart the computer"),
        ("Driver Not Loaded", "does not answer"),
    ],
)
def test_without_a_driver_the_reason_is_said(error: str, words: str) -> None:
    nvml, reason = Nvml.open(FakeNvml([], init_error=error))  # type: ignore[arg-type]
    assert nvml is None
    assert words in reason


def test_the_real_binding_is_asked_where_nothing_stands_in() -> None:
    nvml, reason = Nvml.open()
    assert (nvml is None) == bool(reason)
    if nvml is not None:
        nvml.close()


def test_figures_and_programs() -> None:
    library = FakeNvml([FakeGpu(load=30)])
    library.advance(10)
    reading = opened(library).read(0, processes=True)
    assert reading.power_watts == 120
    assert reading.energy_millijoules == 1_200_000
    assert reading.memory_free_bytes == 79 * 1024**3
    assert reading.pcie_width == 8
    assert [(p.pid, p.bytes) for p in reading.processes] == [(4242, 1024**3)]


def test_an_unsupported_field_is_none_and_the_gpu_is_not_lost() -> None:
    lacking = {"nvmlDeviceGetPowerUsage", "nvmlDeviceGetTotalEnergyConsumption"}
    reading = opened(FakeNvml([FakeGpu(unsupported=lacking)])).read(0)
    assert not reading.lost
    assert reading.power_watts is None
    assert reading.energy_millijoules is None
    assert reading.temperature_c == 40


def test_a_vanished_gpu_is_lost_not_zero() -> None:
    library = FakeNvml([FakeGpu(), FakeGpu()])
    nvml = opened(library)
    library.gpus[1].lost = True
    assert nvml.read(1).lost
    assert nvml.read(1).power_watts is None
    assert not nvml.read(0).lost
    assert len(nvml.identities()) == 1


@pytest.mark.parametrize(
    ("function", "value"),
    [
        ("nvmlDeviceGetPowerUsage", -5),
        ("nvmlDeviceGetPowerUsage", 2**70),
        ("nvmlDeviceGetPowerUsage", "high"),
        ("nvmlDeviceGetTemperature", 4000),
        ("nvmlDeviceGetUtilizationRates", None),
        ("nvmlDeviceGetMemoryInfo", None),
        ("nvmlDeviceGetTotalEnergyConsumption", -1),
    ],
)
def test_rubbish_becomes_none(function: str, value: object) -> None:
    library = FakeNvml([FakeGpu()])
    library.garbage[function] = value
    reading = opened(library).read(0)
    figures = (
        reading.power_watts,
        reading.temperature_c,
        reading.load_percent,
        reading.memory_used_bytes,
        reading.energy_millijoules,
    )
    assert None in figures
    assert all(figure is None or figure >= 0 for figure in figures)


@pytest.mark.parametrize("count", [-1, 10**9, "two", None])
def test_an_impossible_count_lists_nothing(count: object) -> None:
    library = FakeNvml([FakeGpu()])
    library.garbage["count"] = count
    assert opened(library).identities() == ()


def test_closing_ends_the_session() -> None:
    library = FakeNvml([])
    opened(library).close()
    assert library.shut_down == 1
