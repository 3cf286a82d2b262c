"""Freehold's downloader, `hf download` and curl from the same hub on loopback, by turns.

    make bench-download                      # 2 GB as one file, and 4 shards of 1 GB
    make bench-download ARGS="--gb 1 --rounds 1"

Time, CPU seconds and peak memory are those of each tool's own process from its start to its end,
with the interpreter's start. curl checks nothing; hf compares sizes; Freehold compares SHA-256.
Files lie in memory (/dev/shm) where that is there, so that no disk is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve()
ROOT = HERE.parents[2]
sys.path[:0] = [str(ROOT / "app"), str(ROOT / "tests")]
REPO = "ada/bench-GGUF"
BLOCK = 64 << 20


@dataclass(frozen=True)
class Run:
    """One download by one tool."""

    wall_s: float
    cpu_s: float
    peak_mb: float


def make_files(folder: Path, sizes: list[int]) -> dict[str, Path]:
    """Write files of these sizes."""
    block = random.Random(1).randbytes(BLOCK)
    files = {}
    for number, size in enumerate(sizes, start=1):
        count = len(sizes)
        name = f"m-Q8_0-{number:05d}-of-{count:05d}.gguf" if count > 1 else "m-Q8_0.gguf"
        with (folder / name).open("wb") as file:
            for start in range(0, size, BLOCK):
                file.write(bytes([number]) + block[1 : min(BLOCK, size - start)])
        files[name] = folder / name
    return files


@contextmanager
def serving(files: dict[str, Path]) -> Iterator[str]:
    """Run the hub double in a process of its own; give its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "doubles.hub"],
        cwd=ROOT / "tests",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    described = {"repos": [{"name": REPO, "files": {n: str(p) for n, p in files.items()}}]}
    process.stdin.write(json.dumps(described) + "\n")
    process.stdin.flush()
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait(20)


def measure(command: list[str], environment: dict[str, str]) -> Run:
    """Run a command to its end."""
    began = time.monotonic()
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
        # The kernel's own maximum begins with the parent's memory at the fork.
        peak_mb, pid, status = 0.0, 0, 0
        while not pid:
            peak_mb = max(peak_mb, resident_peak_mb(process.pid))
            time.sleep(0.02)
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        wall_s = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            errors.seek(0)
            raise RuntimeError(errors.read().decode(errors="replace")[-2000:])
    return Run(wall_s, usage.ru_utime + usage.ru_stime, peak_mb)


def resident_peak_mb(pid: int) -> float:
    """Return the most memory a process has held so far."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        pass
    return 0.0


def curl(url: str, files: dict[str, Path], target: Path) -> Run:
    """Fetch every file with curl, all at once."""
    words = ["curl", "-sSfL", "--parallel", "--parallel-max", "8"]
    for name in files:
        words += ["-o", str(target / name), f"{url}/{REPO}/resolve/main/{name}"]
    return measure(words, {})


def hf(url: str, files: dict[str, Path], target: Path) -> Run:
    """Fetch the repository with the hub's own tool."""
    tool = Path(sys.executable).with_name("hf")
    settings = {
        "HF_ENDPOINT": url,
        "HF_HOME": str(target / "home"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    words = [str(tool), "download", REPO, *files, "--local-dir", str(target)]
    return measure(words, settings)


def own(url: str, files: dict[str, Path], target: Path) -> Run:
    """Fetch the files with Freehold's downloader, verified."""
    words = [sys.executable, str(HERE), "--as-child", url, str(target), *files]
    return measure(words, {})


def child(url: str, target: Path, names: list[str]) -> None:
    """Download as the server does, in this process."""
    import httpx

    from freehold.library.download.origin import Repository
    from freehold.library.download.places import place_files
    from freehold.library.download.transfer import Transfer
    from freehold.library.variants import RepoFile

    tree = httpx.get(f"{url}/api/models/{REPO}/tree/main", trust_env=False).json()
    listed = {item["path"]: item for item in tree}
    wanted = tuple(
        RepoFile(name, listed[name]["size"], listed[name]["lfs"]["oid"]) for name in names
    )
    places = place_files(target, REPO, wanted)
    Transfer(Repository(url, REPO, "main", lambda: None), places, target).run()


TOOLS: tuple[tuple[str, Callable[[str, dict[str, Path], Path], Run]], ...] = (
    ("curl", curl),
    ("hf download", hf),
    ("freehold", own),
)


def compare(title: str, sizes: list[int], rounds: int, folder: Path) -> list[dict[str, object]]:
    """Print a table of medians for files of these sizes; return it as values."""
    source = folder / "source"
    source.mkdir()
    files = make_files(source, sizes)
    runs: dict[str, list[Run]] = {name: [] for name, _ in TOOLS}
    with serving(files) as url:
        for number in range(rounds):
            order = TOOLS[number % len(TOOLS) :] + TOOLS[: number % len(TOOLS)]
            for name, fetch in order:
                target = folder / "target"
                target.mkdir()
                runs[name].append(fetch(url, files, target))
                shutil.rmtree(target)
    shutil.rmtree(source)
    total = sum(sizes)
    print(f"\n{title}, median of {rounds}")
    print(f"{'':<14}{'seconds':>9}{'MB/s':>8}{'CPU s':>8}{'peak MB':>9}{'÷ curl':>8}{'÷ hf':>7}")
    walls = {name: statistics.median(r.wall_s for r in found) for name, found in runs.items()}
    rows = []
    for name, found in runs.items():
        cpu = statistics.median(r.cpu_s for r in found)
        peak = max(r.peak_mb for r in found)
        wall = walls[name]
        print(
            f"{name:<14}{wall:>9.2f}{total / wall / 1e6:>8.0f}{cpu:>8.2f}{peak:>9.0f}"
            f"{wall / walls['curl']:>8.2f}{wall / walls['hf download']:>7.2f}"
        )
        rows.append({"case": title, "tool": name, "wall_s": wall, "cpu_s": cpu, "peak_mb": peak})
    return rows


def main() -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--gb", type=float, default=2.0, help="size of the one file")
    parser.add_argument("--shard-gb", type=float, default=1.0, help="size of each of four shards")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the files lie")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON at the end")
    parser.add_argument("--as-child", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.as_child:
        url, target, *names = args.as_child
        child(url, Path(target), names)
        return 0
    memory = Path("/dev/shm")
    place = args.folder or (memory if memory.is_dir() else None)
    with tempfile.TemporaryDirectory(dir=place) as name:
        folder = Path(name)
        gb, shard = round(args.gb * 1e9), round(args.shard_gb * 1e9)
        print(f"{os.cpu_count()} processors; files in {folder.parent}")
        rows = compare(f"one file of {args.gb:g} GB", [gb], args.rounds, folder)
        rows += compare(f"4 shards of {args.shard_gb:g} GB", [shard] * 4, args.rounds, folder)
    if args.json:
        print(json.dumps(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
