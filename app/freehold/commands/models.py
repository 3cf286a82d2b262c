"""`freehold models`: what is in the library."""

from __future__ import annotations

import argparse
import asyncio
import json

import msgspec

from freehold.commands.model_access import open_models
from freehold.library.duplicates import candidates, group, known_sum, read_sum
from freehold.paths import user_paths
from freehold.units import format_bytes, format_count
from freehold.wire import ModelEntry
from freehold.wire_files import DuplicateGroup


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--duplicates", action="store_true", help="only those that are here more than once"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Print the models."""
    entries = asyncio.run(_entries())
    if args.duplicates:
        return show_duplicates(entries, as_json=args.json)
    if args.json:
        print(json.dumps([msgspec.to_builtins(entry) for entry in entries]))
    elif not entries:
        print("There are no models yet. `freehold import PATH` adds a GGUF file.")
    else:
        print_table(entries)
    return 0


def show_duplicates(entries: tuple[ModelEntry, ...], *, as_json: bool) -> int:
    """Read what has to be read, and print the models that are here more than once."""
    groups: list[DuplicateGroup] = []
    for copies in candidates(entries):
        sums = {
            key: known_sum(path) or read_sum(path, lambda _count: None)
            for copy in copies
            for path, key in zip(copy.paths, copy.keys, strict=True)
        }
        groups += group(copies, sums)
    if as_json:
        print(json.dumps([msgspec.to_builtins(found) for found in groups]))
    elif not groups:
        print("No model is here more than once.")
    for found in groups if not as_json else ():
        print(f"{format_bytes(found.bytes)}, {len(found.copies)} times the same:")
        for copy in found.copies:
            gain = f"deleting it frees {format_bytes(copy.frees)}" if copy.frees else "a link"
            print(f"  {copy.ref}  {copy.origin}  {copy.path}  ({gain})")
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
