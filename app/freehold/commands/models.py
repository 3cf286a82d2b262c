"""`freehold models`: what is in the library."""

from __future__ import annotations

import argparse
import asyncio
import json

import msgspec

from freehold.commands.model_access import open_models
from freehold.paths import user_paths
from freehold.units import format_bytes, format_count
from freehold.wire import ModelEntry


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Print the models."""
    entries = asyncio.run(_entries())
    if args.json:
        print(json.dumps([msgspec.to_builtins(entry) for entry in entries]))
    elif not entries:
        print("There are no models yet. `freehold import PATH` adds a GGUF file.")
    else:
        print_table(entries)
    return 0


async def _entries() -> tuple[ModelEntry, ...]:
    async with open_models(user_paths()) as models:
        return await models.entries()


def print_table(entries: tuple[ModelEntry, ...]) -> None:
    """Print one line per model, and below it why it cannot be used."""
    width = max(len(entry.ref) for entry in entries)
    for entry in entries:
        size = format_bytes(entry.bytes)
        parameters = format_count(entry.parameters) if entry.parameters else ""
        print(f"{entry.ref:<{width}}  {size:>8}  {parameters:>7}  {entry.arch:<12} {entry.path}")
        if entry.problem is not None:
            print(f"{'':<{width}}  {entry.problem.message} {entry.problem.hint}".rstrip())
