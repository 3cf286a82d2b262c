"""llama.cpp's GPUs and the driver's are matched by PCI id, whatever their order."""

from __future__ import annotations

from pathlib import Path

import pytest

from doubles.models import tiny_model
from doubles.nvml import FakeGpu, FakeNvml
from doubles.server import fake_paths
from freehold.devices.nvml import Nvml
from freehold.engine.process import ProcessEngine, worker_environment
from freehold.engine.requests import LoadOptions
from freehold.machine.here import ask_engine, engine_devices, engine_gpus
from freehold.machine.service import Places
from freehold.server.load_options import merge
from freehold.wire import LoadRequest

GPUS = ("NVIDIA H100 PCIe", "NVIDIA GeForce RTX 4090", "NVIDIA T400")


def places(folder: Path, names: tuple[str, ...], devices: dict[str, str]) -> Places:
    driver, note = Nvml.open(FakeNvml([FakeGpu(name=name) for name in GPUS]))  # type: ignore[arg-type]
    return Places(fake_paths(folder), driver, note, names, "", devices)


async def test_names_follow_the_pci_id(tmp_path: Path) -> None:
    # The fastest first, as CUDA orders them by itself; the third is not used by this build.
    found = places(tmp_path, ("CUDA0", "CUDA1"), {"0000:02:00.0": "CUDA0", "0000:01:00.0": "CUDA1"})
    inventory = await found.inventory()
    assert [gpu.engine_device for gpu in inventory.gpus] == ["CUDA1", "CUDA0", None]
    assert found.engine_gpus(inventory, tmp_path) == {"CUDA1": "GPU-0000", "CUDA0": "GPU-0001"}


async def test_without_pci_ids_the_order_of_the_bus_counts(tmp_path: Path) -> None:
    inventory = await places(tmp_path, ("CUDA0", "CUDA1"), {}).inventory()
    assert [gpu.engine_device for gpu in inventory.gpus] == ["CUDA0", "CUDA1", None]


def test_engines_number_gpus_as_the_driver_does() -> None:
    assert worker_environment({"PATH": "/bin"})["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    given = worker_environment({"CUDA_DEVICE_ORDER": "FASTEST_FIRST"})
    assert given["CUDA_DEVICE_ORDER"] == "FASTEST_FIRST"  # a person's own choice


@pytest.mark.engine
async def test_llama_cpp_says_where_its_devices_are() -> None:
    report = await ask_engine()
    assert all("pci" in device for device in report["devices"])
    assert set(engine_devices(report).values()) <= set(engine_gpus(report))


@pytest.mark.parametrize(("wanted", "said"), [(True, "1"), (False, "0"), (None, None)])
async def test_an_engine_is_started_with_or_without_the_expert_kernels(
    monkeypatch: pytest.MonkeyPatch, wanted: bool | None, said: str | None
) -> None:
    seen: list[dict[str, str]] = []

    def refuse(*_args: object, env: dict[str, str], **_more: object) -> None:
        seen.append(env)
        raise OSError("no process here")

    monkeypatch.delenv("FREEHOLD_MOE", raising=False)
    monkeypatch.setattr("freehold.engine.process.subprocess.Popen", refuse)
    with pytest.raises(OSError, match="no process here"):
        await ProcessEngine().load(LoadOptions(path=str(tiny_model()), expert_kernels=wanted))
    assert seen[0].get("FREEHOLD_MOE") == said


def test_a_pin_can_be_taken_back() -> None:
    pinned = LoadRequest(gpu_layers=12, threads=4)
    assert merge(pinned, LoadRequest(threads=8)).gpu_layers == 12
    assert merge(pinned, LoadRequest(gpu_layers=-1)) == LoadRequest(threads=4)
