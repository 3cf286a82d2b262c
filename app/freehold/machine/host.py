"""The processor, the memory and the disks, read from the kernel's own files.

Every reader takes the root it reads below, so that a test can lay out another machine.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from freehold.wire_machine import Cpu, Disk, Memory

PROC = Path("/proc")
SYS = Path("/sys")

# What decides which of llama.cpp's CPU kernels run.
NOTED_FEATURES = (
    "avx",
    "avx2",
    "fma",
    "f16c",
    "avx_vnni",
    "avx512f",
    "avx512bw",
    "avx512vl",
    "avx512_vnni",
    "avx512_bf16",
    "amx_tile",
    "amx_int8",
    "amx_bf16",
    "asimd",
    "sve",
    "i8mm",
)


def read_cpu(proc: Path = PROC, sys: Path = SYS) -> Cpu:
    """Return the processor. Falls back to what Python knows where a file is missing."""
    text = _text(proc / "cpuinfo") or ""
    names = re.findall(r"^model name\s*:\s*(.+)$", text, re.M)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.M)
    present = set(flags.group(1).split()) if flags else set()
    packages = re.findall(r"^physical id\s*:\s*(\d+)$", text, re.M)
    core_ids = re.findall(r"^core id\s*:\s*(\d+)$", text, re.M)
    threads = len(re.findall(r"^processor\s*:", text, re.M)) or os.cpu_count() or 1
    physical = len(set(zip(packages, core_ids, strict=False))) or threads
    nodes = list((sys / "devices/system/node").glob("node[0-9]*"))
    return Cpu(
        name=names[0].strip() if names else "unknown processor",
        sockets=len(set(packages)) or 1,
        cores=physical,
        threads=threads,
        numa_nodes=len(nodes) or 1,
        features=tuple(name for name in NOTED_FEATURES if name in present),
    )


def read_cache(sys: Path = SYS) -> int:
    """Return the bytes of the last level of cache, all of its parts together; 0 if unknown."""
    found: dict[str, int] = {}
    for place in (sys / "devices/system/cpu").glob("cpu[0-9]*/cache/index3"):
        size = re.fullmatch(r"(\d+)K", _text(place / "size") or "")
        if size is not None:
            found[_text(place / "shared_cpu_list") or str(place)] = int(size[1]) * 1024
    return sum(found.values())


def read_memory(proc: Path = PROC, sys: Path = SYS) -> Memory:
    """Return RAM, swap and huge pages; `limit_bytes` is what a container leaves."""
    text = _text(proc / "meminfo") or ""

    def field(name: str, unit: int = 1024) -> int:
        found = re.search(rf"^{re.escape(name)}:\s+(\d+)", text, re.M)
        return int(found.group(1)) * unit if found else 0

    mode = re.search(r"\[(\w+)\]", _text(sys / "kernel/mm/transparent_hugepage/enabled") or "")
    return Memory(
        total_bytes=field("MemTotal"),
        available_bytes=field("MemAvailable"),
        swap_bytes=field("SwapTotal"),
        huge_page_bytes=field("Hugepagesize"),
        huge_pages_free=field("HugePages_Free", 1),
        transparent_huge_pages=mode.group(1) if mode else "unknown",
        limit_bytes=_container_room(sys),
    )


def _container_room(sys: Path) -> int | None:
    """Return what the control group still allows, None where it sets no limit."""
    limit = _text(sys / "fs/cgroup/memory.max")
    used = _text(sys / "fs/cgroup/memory.current")
    if limit is None or used is None or not limit.isdigit() or not used.isdigit():
        return None
    return max(0, int(limit) - int(used))


def read_disk(folder: Path, proc: Path = PROC, sys: Path = SYS) -> Disk | None:
    """Return the file system `folder` lies on, None if the folder is gone."""
    try:
        usage = shutil.disk_usage(folder)
        device_number = folder.stat().st_dev
    except OSError:
        return None
    device, kind = _mount_of(folder, _text(proc / "mounts") or "")
    major, minor = os.major(device_number), os.minor(device_number)
    return Disk(
        folder=str(folder),
        device=device,
        file_system=kind,
        total_bytes=usage.total,
        free_bytes=usage.free,
        rotational=_rotational(sys / f"dev/block/{major}:{minor}"),
    )


def _mount_of(folder: Path, mounts: str) -> tuple[str, str]:
    """Return (device, file system) of the longest mount point above `folder`."""
    best: tuple[int, str, str] = (-1, "", "")
    resolved = folder.resolve()
    for line in mounts.splitlines():
        parts = line.split(" ")
        if len(parts) < 3:
            continue
        point = Path(parts[1].replace("\\040", " "))
        if resolved.is_relative_to(point) and len(point.parts) > best[0]:
            best = (len(point.parts), parts[0], parts[2])
    return best[1], best[2]


def _rotational(block: Path) -> bool | None:
    """Tell a spinning disk from a solid one; partitions say so in their parent's folder."""
    for place in (block / "queue/rotational", block / "../queue/rotational"):
        text = _text(place)
        if text is not None:
            return text == "1"
    return None


def program_name(pid: int, proc: Path = PROC) -> str:
    """Return a program's short name, "" where it cannot be read."""
    return _text(proc / str(pid) / "comm") or ""


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
