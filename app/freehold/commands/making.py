"""Follow what is being made to its end, for `freehold quantise` and `freehold convert`."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Final

import msgspec

from freehold.client.protocol import Client
from freehold.errors import AppError
from freehold.units import format_bytes, format_duration
from freehold.wire import ErrorInfo
from freehold.wire_files import Making

LOOK_S: Final = 0.5


async def follow(client: Client, begun: Making, *, as_json: bool) -> int:
    """Show progress until the model is made; Ctrl-C cancels. Return the exit status.

    Raises: AppError with the cause when it fails.
    """
    job: Making | None = begun
    try:
        while job is not None and job.state == "running":
            show(job, as_json=as_json)
            await asyncio.sleep(LOOK_S)
            listed = await client.files.making()
            job = next((found for found in listed if found.id == begun.id), None)
    except asyncio.CancelledError:
        await asyncio.shield(client.files.cancel_making(begun.id))
        print("\nCancelled; nothing is left of it.", file=sys.stderr)
        raise
    if sys.stderr.isatty():
        print(file=sys.stderr)
    return end(job, as_json=as_json)


def end(job: Making | None, *, as_json: bool) -> int:
    """Say how it ended."""
    if job is None or job.state == "cancelled":
        raise AppError("cancelled", "It was cancelled.", "The same command begins anew.")
    if job.state == "failed":
        error = job.error or ErrorInfo(code="internal", message="It failed.")
        raise AppError.from_dict(msgspec.to_builtins(error))
    if as_json:
        print(json.dumps(msgspec.to_builtins(job)))
    else:
        print(f"{job.ref} ({format_bytes(job.total_bytes)}) is in the library.")
    return 0


def show(job: Making, *, as_json: bool) -> None:
    """Show how far it is: a line of JSON, or one line of the terminal that is written over."""
    if as_json:
        print(json.dumps(msgspec.to_builtins(job)), flush=True)
    elif sys.stderr.isatty():
        print(f"\r\x1b[K{progress(job)}", end="", file=sys.stderr, flush=True)


def progress(job: Making) -> str:
    """Return how far it is in words."""
    left = f", {format_duration(job.eta_s)} left" if job.eta_s is not None else ""
    step = f"  {job.step}" if job.step else ""
    return f"{format_bytes(job.done_bytes)} of {format_bytes(job.total_bytes)}{left}{step}"
