"""`freehold import`: add a GGUF file to the library, where it lies."""

from __future__ import annotations

import argparse
import asyncio
import json

import msgspec

from freehold.commands.model_access import full_path, open_models
from freehold.paths import user_paths
from freehold.units import format_bytes
from freehold.wire import ModelEntry


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("path", help="the GGUF file; of a split model its first file")
    parser.add_argument("--json", action="store_true", help="print the new entry as JSON")


def run(args: argparse.Namespace) -> int:
    """Add the file."""
    entry = asyncio.run(_import(str(full_path(args.path))))
    if args.json:
        print(json.dumps(msgspec.to_builtins(entry)))
    else:
        print(f"{entry.ref} ({format_bytes(entry.bytes)}) is in the library; its file stays put.")
    return 0


async def _import(path: str) -> ModelEntry:
    async with open_models(user_paths()) as models:
        return await models.import_file(path)
