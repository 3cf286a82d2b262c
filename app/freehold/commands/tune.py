"""`freehold tune`: find the settings a model runs fastest with on this machine."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys

import msgspec

from freehold.client.discovery import ensure_server
from freehold.client.machine import MachineClient
from freehold.commands.model_access import find_ref
from freehold.errors import AppError
from freehold.paths import user_paths
from freehold.units import format_duration, format_rate
from freehold.wire_machine import MachineJob, MachineState, ModelSetup

LOOK_S = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("ref", metavar="REF", help="the model's name, or a GGUF file")
    parser.add_argument(
        "--minutes", type=float, default=3.0, metavar="N", help="how long (default 3)"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--show", action="store_true", help="show what was found before")
    what.add_argument("--revert", action="store_true", help="load it as before it was tuned")
    what.add_argument("--again", action="store_true", help="load it as tuned once more")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Tune, and print the table."""
    return asyncio.run(_tune(args))


async def _tune(args: argparse.Namespace) -> int:
    connection = await ensure_server(user_paths())
    client = connection.client
    try:
        ref = await find_ref(client, args.ref)
        if args.revert or args.again:
            found = await client.machine.use_tuned(ref, as_tuned=args.again)
        else:
            if not args.show:
                await client.machine.tune(ref, args.minutes * 60)
                await _follow(client.machine, quiet=args.json)
            found = await client.machine.setup(ref)
    finally:
        await client.close()
    if args.json:
        print(json.dumps(msgspec.to_builtins(found)))
        return 0
    for line in describe(found):
        print(line)
    return 0


async def _follow(machine: MachineClient, *, quiet: bool) -> None:
    """Wait for the job, showing how far it is; Ctrl-C cancels it.

    Raises: AppError with what ended it.
    """
    shown = 0
    try:
        while True:
            job = _running(await machine.state())
            if not quiet and sys.stderr.isatty():
                line = progress_line(job)
                print(f"\r{line:<{shown}}", end="", file=sys.stderr, flush=True)
                shown = len(line)
            if job.is_over:
                break
            await asyncio.sleep(LOOK_S)
    except asyncio.CancelledError:
        await machine.cancel_job()
        raise
    if shown:
        print(file=sys.stderr)
    if job.error is not None:
        raise AppError.from_dict(msgspec.to_builtins(job.error))


def _running(state: MachineState) -> MachineJob:
    if state.job is None:
        raise AppError("cancelled", "The server was started anew.", "Tune again.")
    return state.job


def progress_line(job: MachineJob) -> str:
    """Return how far a job is: `42 %  Trying 4 threads, 1 min left`."""
    left = f", {format_duration(job.left_s)} left" if job.left_s is not None else ""
    return f"{job.fraction:4.0%}  {job.words}{left}"


def describe(found: ModelSetup) -> list[str]:
    """Return the table as lines for a person."""
    tuned = found.tuned
    if tuned is None:
        return [f"{found.ref} was not tuned on this machine: `freehold tune {found.ref}`."]
    lines = [f"{'answers':>12}  {'prompts':>12}  settings"]
    for number, row in enumerate(tuned.rows):
        words = row.words
        tail = "  (before)" if number == 0 else ""
        if row.problem:
            lines.append(f"{'—':>12}  {'—':>12}  {words}: {row.problem}")
            continue
        mark = "  ← best" if number == tuned.best else ""
        rates = f"{format_rate(row.decode_tokens_per_s):>12}  "
        rates += f"{format_rate(row.prefill_tokens_per_s):>12}"
        lines.append(f"{rates}  {words}{tail}{mark}")
    if tuned.in_use:
        lines.append(f"{found.ref} is loaded with the best from its next load on.")
        lines.append(f"`freehold tune {found.ref} --revert` takes that back.")
    else:
        lines.append(f"The best is not in use: `freehold tune {found.ref} --again`.")
    return lines
