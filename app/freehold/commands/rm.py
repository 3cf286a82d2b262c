"""`freehold rm`: remove a model from the library."""

from __future__ import annotations

import argparse
import asyncio
import json

from freehold.commands.model_access import open_models
from freehold.paths import user_paths
from freehold.units import format_bytes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("ref", metavar="REF", help="the model's name, or its path")
    parser.add_argument(
        "--delete-files", action="store_true", help="delete its files too; without it they stay"
    )
    parser.add_argument("--json", action="store_true", help="print what was freed as JSON")


def run(args: argparse.Namespace) -> int:
    """Remove the model."""
    freed = asyncio.run(_remove(args.ref, delete_files=args.delete_files))
    if args.json:
        print(json.dumps({"ref": args.ref, "freed_bytes": freed}))
    elif args.delete_files:
        print(f"{args.ref} and its files are gone; {format_bytes(freed)} are free again.")
    else:
        print(f"{args.ref} is no longer in the library; its files stay.")
    return 0


async def _remove(ref: str, *, delete_files: bool) -> int:
    async with open_models(user_paths()) as models:
        return await models.remove(ref, delete_files=delete_files)
