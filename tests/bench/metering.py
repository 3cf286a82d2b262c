"""Print what metering costs: `make bench-metering`. The bar is 1 % of tokens a second.

The same engine process answers the same questions with and without metering, by turns (A B B A),
so that whatever else the machine does meets both alike. Metered runs read this machine's real
meters, share their energy out and write the ledger. The step log in the engine process is always
on, so it is measured by itself, as a part of the time of a step. The server's processor time is
told too: it is steadier than the clock on a machine that does other things.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import msgspec

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "app")]

from doubles.models import small_model  # noqa: E402
from freehold.devices.nvml import Nvml  # noqa: E402
from freehold.engine.interface import Engine  # noqa: E402
from freehold.engine.process import ProcessEngine  # noqa: E402
from freehold.engine.protocol import Delta  # noqa: E402
from freehold.engine.requests import (  # noqa: E402
    GenerateRequest,
    LoadOptions,
    SamplingParams,
    TextPrompt,
)
from freehold.engine.step_log import StepLog  # noqa: E402
from freehold.ledger.book import Ledger  # noqa: E402
from freehold.ledger.schema import SCHEMA  # noqa: E402
from freehold.paths import Paths  # noqa: E402
from freehold.power.discovery import find_sources  # noqa: E402
from freehold.power.sampler import MeterReader, choose_sources  # noqa: E402
from freehold.server.metered_engine import MeteredEngine  # noqa: E402
from freehold.server.metering import Metering  # noqa: E402
from freehold.server.tariff_in_force import NO_TARIFF  # noqa: E402
from freehold.storage.connection import Database  # noqa: E402

STREAMS = 8
TOKENS = 256
SAMPLING = SamplingParams(temperature=0, ignore_eos=True)


async def tokens_per_s(engine: Engine, run: int) -> float:
    """Return the speed of all streams together."""

    async def stream(number: int) -> int:
        request = GenerateRequest(
            id=f"{run}-{number}",
            prompt=TextPrompt(text=f"Question {number} of run {run}: how do owls hunt at night?"),
            sampling=SAMPLING,
            max_tokens=TOKENS,
        )
        count = 0
        async for event in engine.generate(request):
            if isinstance(event, Delta):
                count += event.tokens
        return count

    began = time.perf_counter()
    counts = await asyncio.gather(*(stream(number) for number in range(STREAMS)))
    return sum(counts) / (time.perf_counter() - began)


def step_log_s() -> float:
    """Return the time that noting a step of all streams, and packing it to be sent, takes."""
    log = StepLog()
    streams = [SimpleNamespace(id=f"request-{n}", computed=900 + n) for n in range(STREAMS)]
    step = SimpleNamespace(decode=streams, prefill=[])
    began = time.perf_counter()
    for number in range(5000):
        log.note(float(number), number + 0.9, step)  # type: ignore[arg-type]
        if number % 20 == 19:
            msgspec.msgpack.encode(log.take())
    return (time.perf_counter() - began) / 5000


def sampling_share() -> float:
    """Return the share of one core that reading the meters once a second takes."""
    nvml, _ = Nvml.open()
    reader = MeterReader(choose_sources(find_sources(nvml)))
    began = time.process_time()
    for _ in range(100):
        reader.read()
    return (time.process_time() - began) / 100


async def measure(pairs: int, folder: Path) -> int:
    """Print the ratio; return the exit status."""
    paths = Paths(folder / "d", folder / "s", folder / "c", folder / "f")
    paths.create()
    database = Database.open(paths, (SCHEMA,))
    nvml, _ = Nvml.open()
    metering = Metering(Ledger(database), find_sources(nvml), lambda _at: NO_TARIFF)
    plain = ProcessEngine()
    metered = MeteredEngine(plain, "small", metering)
    take_steps = plain.on_steps
    await metered.load(
        LoadOptions(path=str(small_model()), parallel=STREAMS, context_tokens=8192, threads=1)
    )
    await metering.start()
    speeds: dict[bool, list[float]] = {True: [], False: []}
    worked_s: dict[bool, float] = {True: 0.0, False: 0.0}
    try:
        await tokens_per_s(plain, -1)
        for pair in range(pairs):
            for is_metered in ((False, True), (True, False))[pair % 2]:
                plain.on_steps = take_steps if is_metered else None
                engine: Engine = metered if is_metered else plain
                before_s = time.process_time()
                run = len(speeds[True]) * 2 + is_metered
                speeds[is_metered].append(await tokens_per_s(engine, run))
                worked_s[is_metered] += time.process_time() - before_s
    finally:
        await metered.close()
        await metering.close()
        database.close()
    ratios = [on / off for on, off in zip(speeds[True], speeds[False], strict=True)]
    off, on = statistics.median(speeds[False]), statistics.median(speeds[True])
    ratio = statistics.median(ratios)
    low, high = statistics.quantiles(ratios, n=4)[0], statistics.quantiles(ratios, n=4)[2]
    print(f"meters: {', '.join(s.meter.source for s in metering.sources)}")
    print(f"{pairs} pairs, {STREAMS} streams of {TOKENS} tokens; load {os.getloadavg()[0]:.1f}")
    print(f"tokens/s: {off:.1f} without metering, {on:.1f} with (medians)")
    print(f"ratio with / without: {ratio:.4f} (quartiles {low:.4f} to {high:.4f})")
    tokens = pairs * STREAMS * TOKENS
    without, with_it = (worked_s[kind] / tokens * 1e6 for kind in (False, True))
    print(
        f"server's processor time per token: {without:.0f} us without, {with_it:.0f} us with: "
        f"{(with_it - without) / 1e6 * off:+.2%} of one core at this speed"
    )
    step_s = STREAMS / off
    print(f"step log: {step_log_s() * 1e6:.1f} us, {step_log_s() / step_s:.3%} of a step's time")
    print(f"reading the meters: {sampling_share() * 100:.2f} % of one core")
    return 0 if ratio >= 0.99 else 1


def main() -> int:
    """Measure on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=20)
    pairs = max(4, parser.parse_args().pairs)
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(measure(pairs, Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
