"""The inventory: other machines laid out in a folder, and GPUs with impossible figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from doubles.nvml import FakeGpu, FakeNvml
from freehold.cli import main
from freehold.devices.nvml import Nvml
from freehold.machine.host import read_cpu, read_disk, read_memory
from freehold.machine.inventory import plausible_memory, take_inventory, throttle_words


def cpuinfo(sockets: int, cores: int, threads_per_core: int, flags: str) -> str:
    blocks = []
    number = 0
    for _ in range(threads_per_core):
        for socket in range(sockets):
            for core in range(cores):
                blocks.append(
                    f"processor\t: {number}\nmodel name\t: AMD EPYC 9355\n"
                    f"physical id\t: {socket}\ncore id\t\t: {core}\nflags\t\t: {flags}\n"
                )
                number += 1
    return "\n".join(blocks)


def test_a_two_socket_server(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(cpuinfo(2, 32, 2, "fpu avx2 avx512f amx_int8 sse"))
    for node in range(2):
        (tmp_path / f"sys/devices/system/node/node{node}").mkdir(parents=True)
    cpu = read_cpu(tmp_path / "proc", tmp_path / "sys")
    assert (cpu.sockets, cpu.cores, cpu.threads, cpu.numa_nodes) == (2, 64, 128, 2)
    assert cpu.has_smt
    assert cpu.features == ("avx2", "avx512f", "amx_int8")


def test_a_machine_that_says_nothing(tmp_path: Path) -> None:
    cpu = read_cpu(tmp_path, tmp_path)
    assert cpu.cores >= 1
    memory = read_memory(tmp_path, tmp_path)
    assert memory.total_bytes == 0
    assert memory.transparent_huge_pages == "unknown"


def test_memory_honours_a_container(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text(
        "MemTotal:       24000000 kB\nMemAvailable:   20000000 kB\nSwapTotal: 0 kB\n"
        "HugePages_Free:        3\nHugepagesize:       2048 kB\n"
    )
    group = tmp_path / "fs/cgroup"
    group.mkdir(parents=True)
    (group / "memory.max").write_text("8000000000\n")
    (group / "memory.current").write_text("1000000000\n")
    memory = read_memory(tmp_path, tmp_path)
    assert memory.available_bytes == 20_480_000_000
    assert memory.usable_bytes == 7_000_000_000
    assert (memory.huge_pages_free, memory.huge_page_bytes) == (3, 2 << 20)
    (group / "memory.max").write_text("max\n")
    assert read_memory(tmp_path, tmp_path).usable_bytes == 20_480_000_000


def test_this_machine_has_the_disk_of_a_folder(tmp_path: Path) -> None:
    disk = read_disk(tmp_path)
    assert disk is not None
    assert 0 < disk.free_bytes <= disk.total_bytes
    assert read_disk(tmp_path / "gone") is None


def opened(library: FakeNvml) -> Nvml:
    nvml, reason = Nvml.open(library)  # type: ignore[arg-type]
    assert nvml is not None, reason
    return nvml


def test_gpus_are_matched_to_the_engine_by_pci_id(tmp_path: Path) -> None:
    nvml = opened(FakeNvml([FakeGpu(), FakeGpu()]))
    found = take_inventory(nvml, "", [tmp_path], {"0000:02:00.0": "CUDA0", "0000:01:00.0": "CUDA1"})
    assert [gpu.engine_device for gpu in found.gpus] == ["CUDA1", "CUDA0"]
    assert found.gpus[0].pcie == "PCIe 5 x8 of 5 x16"
    assert found.gpus[0].programs[0].bytes == 1 << 30
    assert found.gpu_note == ""


def test_without_a_gpu_the_reason_is_kept(tmp_path: Path) -> None:
    found = take_inventory(
        None, "No NVIDIA driver is installed: models run on the CPU.", [tmp_path]
    )
    assert found.gpus == ()
    assert "run on the CPU" in found.gpu_note
    assert "lists no GPU" in take_inventory(opened(FakeNvml([])), "", []).gpu_note


def test_a_lost_gpu_stays_in_the_list(tmp_path: Path) -> None:
    library = FakeNvml([FakeGpu()])
    nvml = opened(library)
    identity = nvml.identities()
    library.gpus[0].lost = True
    assert identity
    reading = nvml.read(0)
    assert reading.lost


@pytest.mark.parametrize(
    ("figures", "kept"),
    [
        ((None, 5, 5), (None, None, None)),
        ((10, 4, 6), (10, 4, 6)),
        ((10, 11, 6), (10, None, 6)),
        ((10, 4, 60), (10, 4, None)),
    ],
)
def test_figures_that_cannot_be_are_left_out(
    figures: tuple[int | None, ...], kept: tuple[int | None, ...]
) -> None:
    assert plausible_memory(*figures) == kept


def test_throttling_is_said_in_words() -> None:
    assert throttle_words(0) == ()
    assert throttle_words(None) == ()
    assert throttle_words(0x44) == ("power limit", "temperature (hardware)")


def test_the_command_prints_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["machine", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {"gpus", "cpu", "memory", "disks", "meters"} <= document.keys()
    assert document["memory"]["total_bytes"] > 0
    assert document["meters"]
    assert main(["machine"]) == 0
    assert "Memory" in capsys.readouterr().out
