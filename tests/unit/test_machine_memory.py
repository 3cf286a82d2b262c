"""What is measured of the disk, and what is kept of a machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from freehold.machine.calibration import Calibration, to_info
from freehold.machine.disk_speed import BLOCK_BYTES, read_disk_speed
from freehold.machine.memory import MachineMemory
from freehold.machine.plan.cpu_speed import CpuSpeed
from freehold.machine.plan.speed import GpuSpeed

CPU = CpuSpeed(node_s=6e-7, weight_s={"Q8_0": 5.6e-11}, mac_s={"Q8_0": 1.1e-11})

# --- the disk --------------------------------------------------------------------------------


def test_the_disk_is_read_past_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []
    real = os.open

    def watch(path: Any, flags: int, *rest: Any, **more: Any) -> int:
        if str(path).endswith(".gguf"):
            opened.append(flags)
        return real(path, flags, *rest, **more)

    monkeypatch.setattr("freehold.machine.disk_speed.os.open", watch)
    (tmp_path / "model.gguf").write_bytes(os.urandom(BLOCK_BYTES) * 9)
    speed = read_disk_speed(tmp_path)
    assert speed is not None
    assert speed > 1e6
    assert opened[0] & os.O_DIRECT


def test_a_folder_without_models_is_measured_with_a_file_of_its_own(tmp_path: Path) -> None:
    speed = read_disk_speed(tmp_path)
    assert speed is not None
    assert list(tmp_path.iterdir()) == []
    assert read_disk_speed(tmp_path / "missing") is None


def test_a_full_disk_leaves_its_speed_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("freehold.machine.disk_speed.os.fsync", full)
    assert read_disk_speed(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


# --- what is kept ----------------------------------------------------------------------------


def calibration(machine: str = "m1") -> Calibration:
    return Calibration(
        machine=machine, taken_at=1.0, cpu=CPU, ram_bytes_per_s=2e10, disk_bytes_per_s=None,
        gpus={"GPU-a": GpuSpeed(1e12, 1e14, 2e10, 5e-5)}, load=0.2,
    )  # fmt: skip


def test_a_measurement_is_kept_for_its_machine(tmp_path: Path) -> None:
    memory = MachineMemory(tmp_path / "machine.json")
    assert memory.calibration("m1") is None
    memory.keep_calibration(calibration())
    again = MachineMemory(tmp_path / "machine.json")
    assert again.calibration("m1") == calibration()
    assert again.calibration("m2") is None
    again.keep_calibration(msgspec.structs.replace(calibration(), taken_at=2.0))
    found = memory.calibration("m1")  # another process has written: it is read again
    assert found is not None
    assert found.taken_at == 2.0


@pytest.mark.allow_logs("what was measured of this machine could not be read")
def test_a_damaged_file_is_nothing_known(tmp_path: Path) -> None:
    path = tmp_path / "machine.json"
    path.write_text('{"schema": 1, "calibrations": {"m1": {"machine": "m1"}}}')
    memory = MachineMemory(path)
    assert memory.calibration("m1") is None
    memory.keep_calibration(calibration())
    assert memory.calibration("m1") is not None


def test_people_are_shown_rates_not_seconds() -> None:
    info = to_info(calibration())
    assert info.weight_bytes_per_s == pytest.approx(1 / 5.6e-11)
    assert info.matrix_flops == pytest.approx(2 / 1.1e-11)
    assert info.gpus[0].uuid == "GPU-a"
