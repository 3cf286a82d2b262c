"""Predicted beside measured: memory per device, speed of small models, and what planning costs.

    python tests/bench/plan.py [--rounds 3] [--quick] [--only NAME] [--json]

The machine is calibrated first. Where other programs may run beside it, the engines ask the
scheduler for their share (Linux groups processes by session, so `nice` alone does not); without
the right to do so they go on without. Speeds are tokens/s, the lower quartile of steps; the
quickest round is what the machine can do, the median what other programs left of it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import msgspec

from doubles.big_models import kimi_k2
from freehold.engine.process import ProcessEngine
from freehold.engine.requests import LoadOptions
from freehold.library.model_maker.gauges import write_gauge
from freehold.library.model_maker.recipe import SIZES, Kind, Recipe, Size, write_model
from freehold.machine.calibrating import Tools, calibrate, physical_cores
from freehold.machine.gauge import Gauge, gauged
from freehold.machine.measuring import MeasureProcess, to_options
from freehold.machine.plan.budgets import DiskBudget, Machine, RamBudget
from freehold.machine.plan.kv import padded_cells
from freehold.machine.plan.speed import MachineSpeed
from freehold.machine.planner import Place, plan_model
from freehold.machine.profiles import read_profiles
from freehold.wire_machine import PlanRequest

GB = 10**9
ROOM = Machine((), RamBudget(256 * GB, 256 * GB), DiskBudget(10**12, 10**12))
SPEED_BAR, MEMORY_BAR = 0.20, 0.02
CONTEXTS = (0, 4096)
ANSWER = {"tiny": 200, "small": 80, "1b": 28}
SHARE = -15


def ask_for_share(pid: int | None) -> bool:
    """Put a process's scheduling group before others; return whether that was allowed."""
    try:
        Path(f"/proc/{pid or 'self'}/autogroup").write_text(str(SHARE))
    except OSError:
        return False
    return True


@contextlib.asynccontextmanager
async def preferred(options: LoadOptions) -> AsyncIterator[Gauge]:
    async with gauged(options) as gauge:
        ask_for_share(gauge.pid)
        yield gauge


@dataclass(frozen=True)
class MemoryRow:
    model: str
    asked: str
    part: str
    predicted: int
    measured: int

    @property
    def error(self) -> float:
        return abs(self.predicted - self.measured) / max(1, self.measured)

    def line(self) -> str:
        off = self.predicted - self.measured
        return (
            f"{self.model:<12} {self.asked:<28} {self.part:<8} {self.predicted:>13,} "
            f"{self.measured:>13,} {off:>8,} {self.error:>7.2%}"
        )


@dataclass(frozen=True)
class SpeedRow:
    model: str
    context: int
    what: str
    predicted: float
    quickest: float
    median: float

    @property
    def error(self) -> float:
        return self.predicted / self.quickest - 1

    def line(self) -> str:
        mark = "" if abs(self.error) <= SPEED_BAR else "  over the bar"
        return (
            f"{self.model:<12} {self.context:>6} {self.what:<8} {self.predicted:>10,.1f} "
            f"{self.quickest:>10,.1f} {self.error:>+7.0%} {self.median:>10,.1f}{mark}"
        )


async def measure_memory(name: str, path: Path, child: MeasureProcess) -> list[MemoryRow]:
    rows = []
    for asked in ({}, {"context_tokens": 4096, "parallel": 1, "kv_type": "q8_0"}):
        request = PlanRequest(ref="", **asked)  # type: ignore[arg-type]
        plan = await plan_model(path, request, Place(ROOM), child)
        engine = ProcessEngine()
        try:
            info = await engine.load(to_options(path, plan.load, embeddings=False))
        finally:
            await engine.close()
        found, parts = info.buffers["CPU"], plan.devices[0].parts
        words = " ".join(f"{key}={value}" for key, value in asked.items()) or "defaults"
        for long, short in (("context_tokens", "ctx"), ("parallel", "chats"), ("kv_type", "kv")):
            words = words.replace(long, short)
        rows += [
            MemoryRow(name, words, "weights", parts.weights, found["model"]),
            MemoryRow(name, "", "KV cache", parts.kv_cache, found["context"]),
            MemoryRow(name, "", "buffers", parts.compute, found["compute"]),
        ]
    return rows


async def measure_speed(
    name: str, size: str, path: Path, speed: MachineSpeed, child: MeasureProcess, rounds: int
) -> list[SpeedRow]:
    rows = []
    for context in CONTEXTS:
        prompt, answer = max(context, 16), ANSWER[size]
        # Room for one run: prefixes that are kept from the run before would be in the way.
        cells = padded_cells(prompt + answer + 1)
        request = PlanRequest(ref="", context_tokens=cells, parallel=1)
        plan = await plan_model(path, request, Place(ROOM, speed), child)
        assert plan.curve is not None
        options = to_options(path, plan.load, embeddings=False)
        options = msgspec.structs.replace(options, threads=physical_cores())
        async with preferred(options) as gauge:
            await gauge.run(16, 24)
            found = [await gauge.run(prompt, answer) for _ in range(rounds)]
        at = statistics.median(reading.context_tokens for reading in found)
        rates = [1 / reading.decode_s for reading in found]
        rows.append(
            SpeedRow(
                name, context, "answer", 1 / plan.curve.decode_s(at), max(rates),
                statistics.median(rates),
            )
        )  # fmt: skip
        if context:
            rates = [reading.prompt_tokens / reading.prefill_s for reading in found]
            predicted = context / plan.curve.prefill_s(context)
            median = statistics.median(rates)
            rows.append(SpeedRow(name, context, "prompt", predicted, max(rates), median))
    return rows


async def time_of_a_large_plan(folder: Path) -> float:
    """Return the seconds of a plan of 61 layers of 384 experts over 8 GPUs, the child included."""
    path = kimi_k2(folder, "Q4_K_M")
    profiles = read_profiles()
    profile = profiles.find("8xh200")
    place = Place(profiles.budgets(profile), profiles.speed(profile), is_here=False)
    times = []
    for _ in range(4):
        began = time.perf_counter()
        await plan_model(path, PlanRequest(ref=""), place)
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


async def run(rounds: int, quick: bool, only: str) -> dict[str, object]:
    told = sys.stderr
    print(f"load average before: {os.getloadavg()[0]:.2f}", file=told)
    may = ask_for_share(None)
    print(f"share of the scheduler asked for: {'granted' if may else 'not allowed'}", file=told)
    memory: list[MemoryRow] = []
    speeds: list[SpeedRow] = []
    with tempfile.TemporaryDirectory(prefix="freehold-bench-") as name:
        folder = Path(name)
        child = await MeasureProcess.start()
        began = time.perf_counter()
        found = await calibrate(
            Tools(write_gauge, preferred), machine="bench", gpus={}, scratch=folder, models=folder,
            tell=lambda _fraction, _words: None,
        )  # fmt: skip
        calibrated_s = time.perf_counter() - began
        print(f"calibrated in {calibrated_s:.0f} s: {found.cpu}", file=told)
        speed = MachineSpeed((), found.cpu, found.disk_bytes_per_s, "calibrated")
        kinds: tuple[Kind, ...] = ("kimi", "llama")
        sizes: tuple[Size, ...] = SIZES[:2] if quick else SIZES
        for size in sizes:
            for kind in kinds:
                path = folder / f"{kind}-{size}.gguf"
                if only not in ("", path.stem):
                    continue
                write_model(path, Recipe(kind=kind, size=size))
                memory += await measure_memory(path.stem, path, child)
                found_rows = await measure_speed(path.stem, size, path, speed, child, rounds)
                for row in found_rows:
                    print(row.line(), file=told, flush=True)
                speeds += found_rows
                path.unlink()
        await child.close()
        plan_s = await time_of_a_large_plan(folder)
    print(f"load average after: {os.getloadavg()[0]:.2f}", file=told)
    return {
        "memory": memory,
        "speed": speeds,
        "plan_s": plan_s,
        "calibrated_s": calibrated_s,
        "ram_bytes_per_s": found.ram_bytes_per_s,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="leave the 1b models out")
    parser.add_argument("--only", default="", metavar="NAME", help="one model, like llama-1b")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    found = asyncio.run(run(args.rounds, args.quick, args.only))
    memory: list[MemoryRow] = found["memory"]  # type: ignore[assignment]
    speeds: list[SpeedRow] = found["speed"]  # type: ignore[assignment]
    if args.json:
        rows = {"memory": [asdict(r) for r in memory], "speed": [asdict(r) for r in speeds]}
        print(json.dumps({**found, **rows}))
        return 0
    print(f"{'model':<12} {'asked':<28} {'part':<8} {'predicted':>13} {'measured':>13} {'off':>8}")
    for row in memory:
        print(row.line())
    head = f"{'model':<12} {'tokens':>6} {'what':<8} {'predicted':>10} {'quickest':>10}"
    print(f"\n{head} {'':>7} {'median':>10}")
    for line in speeds:
        print(line.line())
    inside = sum(abs(row.error) <= SPEED_BAR for row in speeds)
    print(f"\n{inside} of {len(speeds)} speeds within ±{SPEED_BAR:.0%}")
    print(f"largest memory error {max(row.error for row in memory):.2%} (bar {MEMORY_BAR:.0%})")
    print(f"61 layers x 384 experts over 8 GPUs planned in {found['plan_s']:.2f} s (bar 2 s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
