"""`freehold power`: what this machine draws now, read for a few seconds; and power's trials."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import AsyncIterator

from freehold.client.discovery import find_server
from freehold.commands.power_trials import calibrate, limits
from freehold.devices.nvml import Nvml
from freehold.paths import user_paths
from freehold.power.discovery import find_sources
from freehold.power.sampler import MeterReader, Sample, choose_sources
from freehold.wire_power import (
    LivePower,
    PowerPart,
)

EVERY_S = 1.0
MOST_S = 3600


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "action",
        nargs="?",
        choices=("now", "calibrate", "limits"),
        default="now",
        help="now (the default); calibrate: ten minutes beside a plug tell what the rest of the "
        "machine draws; limits: energy per token at each power limit you set",
    )
    parser.add_argument(
        "--measure", action="store_true", help="with limits: measure at the present one, 1 minute"
    )
    parser.add_argument("--seconds", type=_seconds, default=3, metavar="N", help="default 3")
    parser.add_argument("--json", action="store_true", help="print one JSON document a second")


def run(args: argparse.Namespace) -> int:
    """Print one reading a second, or run a trial."""
    if args.action == "calibrate":
        return asyncio.run(calibrate(as_json=args.json))
    if args.action == "limits":
        return asyncio.run(limits(measure=args.measure, as_json=args.json))
    return asyncio.run(_print(args.seconds, as_json=args.json))


async def _print(seconds: int, *, as_json: bool) -> int:
    async for live in _readings(seconds):
        if as_json:
            print(json.dumps(document(live)), flush=True)
        else:
            print(line(live), flush=True)
    return 0


async def _readings(seconds: int) -> AsyncIterator[LivePower]:
    found = await find_server(user_paths())
    if found is None:
        for live in await asyncio.to_thread(_read_meters, seconds):
            yield live
        return
    try:
        for number in range(seconds):
            if number:
                await asyncio.sleep(EVERY_S)
            yield await found.client.costs.power()
    finally:
        await found.client.close()


def _read_meters(seconds: int) -> list[LivePower]:
    """Read this machine's meters without a server."""
    nvml, _ = Nvml.open()
    reader = MeterReader(choose_sources(find_sources(nvml)))
    reader.read()
    found: list[LivePower] = []
    for _ in range(seconds):
        time.sleep(EVERY_S)
        sample = reader.read()
        if sample is not None:
            found.append(_live(sample))
    return found


def _live(sample: Sample) -> LivePower:
    parts = tuple(
        PowerPart(
            source=c.meter.source,
            level=c.meter.level,
            error_share=c.meter.error_share,
            watts=c.watts,
            reason=c.reason,
        )
        for c in sample.components
    )
    return LivePower(
        level=sample.level,
        error_share=max((part.error_share for part in parts), default=0.0),
        parts=parts,
        watts=sample.watts if sample.complete else None,
    )


def document(live: LivePower) -> dict[str, object]:
    """Return a reading as the command's JSON says it."""
    return {
        "watts": _rounded(live.watts),
        "level": live.level,
        "error": live.error_share,
        "tokens_per_s": live.tokens_per_s,
        "joules_per_token": _rounded(live.joules_per_token),
        "parts": [
            {
                "source": part.source,
                "level": part.level,
                "error": part.error_share,
                "watts": _rounded(part.watts),
            }
            for part in live.parts
        ],
    }


def line(live: LivePower) -> str:
    """Return a reading in one line."""
    if not live.parts:
        return "no meter has been read yet"
    whole = "gap" if live.watts is None else f"{live.watts:.1f} W"
    parts = ", ".join(
        f"{part.source} {'gap' if part.watts is None else f'{part.watts:.1f} W'}"
        for part in live.parts
    )
    return f"{whole} ({live.level} ± {live.error_share * 100:.0f} %): {parts}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _seconds(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST_S:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 1 to {MOST_S}")
    return int(text)
