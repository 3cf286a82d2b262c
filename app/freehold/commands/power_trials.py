"""`freehold power calibrate` and `freehold power limits`: trials that keep a model busy."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import msgspec

from freehold.client.costs import CostsClient
from freehold.client.discovery import find_server
from freehold.errors import AppError
from freehold.paths import user_paths
from freehold.wire_power import CalibrationResult, CalibrationState, LimitState

EVERY_S = 1.0
S = TypeVar("S", CalibrationState, LimitState)


async def calibrate(*, as_json: bool) -> int:
    """Calibrate the rest of the machine against its plug; Ctrl-C ends it without a result."""
    async with _costs() as costs:
        state = await _follow(
            await costs.calibrate(),
            costs.calibration,
            costs.cancel_calibration,
            lambda found: found.phase in ("rest", "load"),
            None if as_json else _progress,
        )
    if state.phase == "failed":
        raise AppError("conflict", state.problem)
    if state.result is None:
        raise AppError("cancelled", "The calibration was cancelled.", "Nothing was changed.")
    if as_json:
        print(json.dumps(msgspec.to_builtins(state.result)))
    else:
        print(result_line(state.result))
    return 0


async def limits(*, measure: bool, as_json: bool) -> int:
    """Print the power-limit sweep; with `measure`, measure at the limit that is set first."""
    async with _costs() as costs:
        state = await costs.limits()
        if measure:
            state = await _follow(
                await costs.measure_limit(),
                costs.limits,
                costs.cancel_limit,
                lambda found: found.measuring,
                None if as_json else _limit_progress,
            )
    if as_json:
        print(json.dumps(msgspec.to_builtins(state)))
        return 0
    if state.problem:
        raise AppError("not_supported", state.problem)
    for line in limit_lines(state):
        print(line)
    return 0


@asynccontextmanager
async def _costs() -> AsyncIterator[CostsClient]:
    found = await find_server(user_paths())
    if found is None:
        raise AppError(
            "server_unreachable",
            "No server is running, and a trial needs one to keep a model busy.",
            "Open Freehold, or run `freehold serve`, then try again.",
        )
    try:
        yield found.client.costs
    finally:
        await found.client.close()


async def _follow(
    state: S,
    look: Callable[[], Awaitable[S]],
    cancel: Callable[[], Awaitable[S]],
    runs: Callable[[S], bool],
    tell: Callable[[S], str] | None,
) -> S:
    """Return a trial's state once it has ended; being interrupted cancels it."""
    shows = tell is not None and sys.stderr.isatty()
    try:
        while runs(state):
            if shows and tell is not None:
                print(f"\r{tell(state):<60}", end="", file=sys.stderr, flush=True)
            await asyncio.sleep(EVERY_S)
            state = await look()
    except asyncio.CancelledError:
        await cancel()
        raise
    finally:
        if shows:
            print(file=sys.stderr)
    return state


def _progress(found: CalibrationState) -> str:
    doing = "at rest" if found.phase == "rest" else "under load"
    left = round(found.seconds_left)
    return f"{found.share:4.0%}  measuring {doing}, {left // 60}:{left % 60:02} left"


def _limit_progress(found: LimitState) -> str:
    return f"measuring at {found.limit_watts} W, {found.seconds_left:.0f} s left"


def result_line(found: CalibrationResult) -> str:
    """Return a calibration's result in one line."""
    return (
        f"wall = {found.offset_watts:.1f} ± {found.offset_error:.1f} W + "
        f"{found.factor:.3f} ± {found.factor_error:.3f} x measured "
        f"(± {found.error_share:.0%}; {found.pairs} pairs against {found.plug}, {found.on})"
    )


def limit_lines(state: LimitState) -> list[str]:
    """Return the sweep as lines for a person."""
    lines = [
        f"{state.gpu}, set to {state.limit_watts} W ({state.least_watts} to {state.most_watts})"
    ]
    if state.points:
        lines.append(f"{'limit':>8} {'tokens/s':>10} {'power':>9} {'J/token':>9}")
    for point in state.points:
        best = "  best" if point == state.best else ""
        lines.append(
            f"{point.limit_watts:>6} W {point.tokens_per_s:>10.1f} {point.watts:>7.0f} W "
            f"{point.joules_per_token:>9.2f}{best}"
        )
    if state.sentence:
        lines.append(state.sentence)
    if state.commands:
        lines.append("For the next point, set another limit yourself and measure again:")
        lines.append(f"  {state.commands[0]}")
        lines.append("  freehold power limits --measure")
    return lines
