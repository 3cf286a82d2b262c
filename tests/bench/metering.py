"""Print what metering costs: `make bench-metering`. The bar is 1 % of tokens a second.

Three figures, so that noise cannot hide it:

* tokens a second with and without metering: short runs of one engine process by turns (A B B A),
  so that whatever else the machine does meets both alike; the median of the pairs' ratios with its
  95 % interval (order statistics: no shape of the noise is assumed). Without metering nothing is
  sampled and no step is handed on.
* the processor time of server and engine process for each token, in the same pairs: what waits for
  a core is not counted, so other programs disturb it little.
* the processor time of each part of metering itself: reading the meters, sharing out, noting steps
  in the engine, as a share of one core and of the engine's step. Their sum is the most that
  metering can cost, if it never found a moment in which a core was free.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import psutil

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "app")]

from doubles.models import small_model  # noqa: E402
from freehold.devices.nvml import Nvml  # noqa: E402
from freehold.engine.interface import Engine  # noqa: E402
from freehold.engine.process import ProcessEngine  # noqa: E402
from freehold.engine.protocol import Delta, Steps  # noqa: E402
from freehold.engine.requests import (  # noqa: E402
    GenerateRequest,
    LoadOptions,
    SamplingParams,
    TextPrompt,
)
from freehold.engine.step_log import StepLog  # noqa: E402
from freehold.ledger.book import Ledger  # noqa: E402
from freehold.ledger.entries import RequestEntry  # noqa: E402
from freehold.paths import Paths  # noqa: E402
from freehold.power.discovery import find_sources  # noqa: E402
from freehold.power.sampler import SAMPLE_EVERY_S, MeterReader, choose_sources  # noqa: E402
from freehold.power.sources import Source  # noqa: E402
from freehold.power.store import PowerStore  # noqa: E402
from freehold.server.metered_engine import MeteredEngine  # noqa: E402
from freehold.server.metering import EndedRequest, Metering  # noqa: E402
from freehold.server.schemas import SCHEMAS  # noqa: E402
from freehold.server.tariff_in_force import NO_TARIFF  # noqa: E402
from freehold.storage.connection import Database  # noqa: E402

STREAMS = 8
TOKENS = 96
# How long an answer is taken to be where its end is shared between its tokens.
ANSWER_TOKENS = 256
BAR = 0.01
SAMPLING = SamplingParams(temperature=0, ignore_eos=True)


class Stopwatch:
    """Adds up the processor time of the calls it is put around, on whatever thread they run."""

    def __init__(self) -> None:
        self.spent_s = 0.0

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with its processor time counted."""

        def timed(*arguments: Any, **named: Any) -> Any:
            began = time.thread_time()
            try:
                return function(*arguments, **named)
            finally:
                self.spent_s += time.thread_time() - began

        return timed


class Run:
    """One run's tokens, seconds, and processor time of server and engine process."""

    def __init__(self, tokens: int, wall_s: float, worked_s: float) -> None:
        self.per_s = tokens / wall_s
        self.worked_per_token = worked_s / tokens
        self.wall_s = wall_s


async def run_once(engine: Engine, worker: psutil.Process, number: int) -> Run:
    """Let all streams answer once."""

    async def stream(at: int) -> int:
        request = GenerateRequest(
            id=f"{number}-{at}",
            prompt=TextPrompt(text=f"Question {at} of run {number}: how do owls hunt at night?"),
            sampling=SAMPLING,
            max_tokens=TOKENS,
        )
        count = 0
        async for event in engine.generate(request):
            if isinstance(event, Delta):
                count += event.tokens
        return count

    worked = time.process_time() + sum(worker.cpu_times()[:2])
    began = time.perf_counter()
    counts = await asyncio.gather(*(stream(at) for at in range(STREAMS)))
    wall_s = time.perf_counter() - began
    return Run(sum(counts), wall_s, time.process_time() + sum(worker.cpu_times()[:2]) - worked)


def interval(values: list[float]) -> tuple[float, float, float]:
    """Return the median and its 95 % interval by order statistics."""
    ordered = sorted(values)
    count = len(ordered)
    reach = 1.96 * math.sqrt(count) / 2
    low = max(0, math.floor(count / 2 - reach))
    high = min(count - 1, math.ceil(count / 2 + reach) - 1)
    return statistics.median(ordered), ordered[low], ordered[high]


def step_log_s() -> float:
    """Return the processor time of noting a step of all streams, and packing it to be sent."""
    log = StepLog()
    streams = [SimpleNamespace(id=f"request-{n}", computed=900 + n) for n in range(STREAMS)]
    step = SimpleNamespace(decode=streams, prefill=[])
    began = time.process_time()
    for number in range(20_000):
        log.note(float(number), number + 0.9, step)  # type: ignore[arg-type]
        if number % 20 == 19:
            msgspec.msgpack.encode(log.take())
    return (time.process_time() - began) / 20_000


def reading_s() -> float:
    """Return the processor time of reading all meters once."""
    nvml, _ = Nvml.open()
    reader = MeterReader(choose_sources(find_sources(nvml)))
    reader.read()
    began = time.process_time()
    for _ in range(200):
        reader.read()
    return (time.process_time() - began) / 200


async def ending_s(metering: Metering, ledger: Ledger, sources: Sequence[Source]) -> float:
    """Return the processor time of ending a request: the last reading, its line, the disk.

    As many end together as there are streams, as in the runs. The wait until a line's windows are
    settled costs nothing and is left out: the lines are written here as metering writes them.
    """
    await metering.use_sources(sources)
    rounds = 40

    async def end(name: str) -> RequestEntry:
        metering.request_began()
        await metering.used(name, 1.0)
        now_s = time.monotonic()
        ended = EndedRequest(name, "owner", "", "small", 20, 0, 9, 1.0, time.time(), now_s)
        metering.request_ended(ended)
        if not metering._ended:  # on a quiet machine its windows are settled at once
            return metering._lines.pop()
        metering._ended.pop()
        return metering._line(ended)

    began = time.process_time()
    for number in range(rounds):
        lines = await asyncio.gather(*(end(f"end-{number}-{at}") for at in range(STREAMS)))
        await ledger.add_lines(lines)
    return (time.process_time() - began) / rounds / STREAMS


class Bench:
    """The engine, its meter, and what came of each run."""

    def __init__(self, database: Database) -> None:
        nvml, _ = Nvml.open()
        self.sources = find_sources(nvml)
        self.ledger = Ledger(database)
        self.metering = Metering(self.ledger, (), lambda _at: NO_TARIFF, store=PowerStore(database))
        self.plain = ProcessEngine()
        self.metered = MeteredEngine(self.plain, "small", self.metering)
        self.sharing = Stopwatch()
        self.steps = 0
        for name in ("add_sample", "add_steps", "request_ended"):
            around = self.sharing.around(getattr(self.metering, name))
            setattr(self.metering, name, around)
        self.plain.on_steps = None
        self.runs: dict[bool, list[Run]] = {True: [], False: []}

    def _take(self, told: Steps) -> None:
        self.steps += len(told.steps)
        self.metering.add_steps(self.metered._name, told)

    async def measure(self, pairs: int) -> None:
        """Run pairs, the order of the two turned around from one to the next."""
        assert self.plain.pid is not None
        worker = psutil.Process(self.plain.pid)
        await run_once(self.plain, worker, -1)
        for pair in range(pairs):
            for is_metered in ((False, True), (True, False))[pair % 2]:
                self.plain.on_steps = self._take if is_metered else None
                await self.metering.use_sources(self.sources if is_metered else ())
                engine: Engine = self.metered if is_metered else self.plain
                self.runs[is_metered].append(await run_once(engine, worker, 2 * pair + is_metered))

    def report(self, load: float, ended_s: float) -> int:
        """Print the figures; return the exit status."""
        off, on = self.runs[False], self.runs[True]
        speed = [b.per_s / a.per_s for a, b in zip(off, on, strict=True)]
        worked = [b.worked_per_token / a.worked_per_token for a, b in zip(off, on, strict=True)]
        step_s = statistics.median(STREAMS / run.per_s for run in off)
        sampled_s = reading_s()
        shared_s = self.sharing.spent_s / max(1, self.steps)
        noted_s = step_log_s()
        # All streams of a step end once in so many steps.
        ended_step_s = ended_s * STREAMS / ANSWER_TOKENS
        per_step_s = sampled_s * step_s / SAMPLE_EVERY_S + shared_s + noted_s + ended_step_s
        print(f"meters: {', '.join(s.meter.source for s in choose_sources(self.sources))}")
        print(
            f"{len(on)} pairs of runs, {STREAMS} streams of {TOKENS} tokens; load {load:.1f} on "
            f"{os.cpu_count()} cores; a step takes {step_s * 1e3:.2f} ms"
        )
        for name, unit, ratios in (
            ("tokens a second", "with / without", speed),
            ("processor time a token", "with / without", worked),
        ):
            middle, low, high = interval(ratios)
            print(f"{name:24} {unit}: {middle:.4f} (95 %: {low:.4f} to {high:.4f})")
        without, with_it = (
            statistics.median(run.worked_per_token for run in runs) * 1e6 for runs in (off, on)
        )
        print(
            f"  {without:.0f} us without, {with_it:.0f} us with; the ends of answers as short as "
            f"these take {ended_s / TOKENS * 1e6:.0f} us of it"
        )
        print("processor time of metering itself:")
        for name, each_s, per_s in (
            ("reading the meters", sampled_s, 1 / SAMPLE_EVERY_S),
            ("sharing out, a step", shared_s, 1 / step_s),
            ("noting a step (engine)", noted_s, 1 / step_s),
            (f"ending an answer of {ANSWER_TOKENS}", ended_s, STREAMS / ANSWER_TOKENS / step_s),
        ):
            of_step = each_s * per_s
            print(f"  {name:24} {each_s * 1e6:8.1f} us  {of_step:8.3%} of one core")
        share = per_step_s / step_s
        print(f"  together                 {per_step_s * 1e6:8.1f} us a step, {share:.3%} of it")
        verdict = "holds" if share <= BAR else "is broken"
        print(f"the bar of {BAR:.0%} of tokens a second {verdict}: at most {share:.2%}")
        return 0 if share <= BAR else 1


async def measure(pairs: int, folder: Path) -> int:
    """Print the figures; return the exit status."""
    paths = Paths(folder / "d", folder / "s", folder / "c", folder / "f")
    paths.create()
    database = Database.open(paths, SCHEMAS)
    bench = Bench(database)
    load = os.getloadavg()[0]
    try:
        await bench.metered.load(
            LoadOptions(path=str(small_model()), parallel=STREAMS, context_tokens=8192, threads=1)
        )
        await bench.metering.start()
        await bench.measure(pairs)
        ended_s = await ending_s(bench.metering, bench.ledger, bench.sources)
    finally:
        await bench.metered.close()
        await bench.metering.close()
        database.close()
    return bench.report(load, ended_s)


def main() -> int:
    """Measure on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=60)
    pairs = max(6, parser.parse_args().pairs)
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(measure(pairs, Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
