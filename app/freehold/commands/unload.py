"""`freehold unload`: end a model's engine process and free its memory."""

from __future__ import annotations

import argparse
import asyncio
import json

from freehold.client.discovery import find_server
from freehold.commands.model_access import find_ref
from freehold.errors import AppError
from freehold.paths import user_paths


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("ref", metavar="REF", help="the model's name, or its path")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")


def run(args: argparse.Namespace) -> int:
    """Unload the model."""
    was_loaded = asyncio.run(_unload(args.ref))
    if args.json:
        print(json.dumps({"ref": args.ref, "was_loaded": was_loaded}))
    elif was_loaded:
        print(f"{args.ref} is unloaded.")
    else:
        print(f"{args.ref} was not loaded.")
    return 0


async def _unload(text: str) -> bool:
    paths = user_paths()
    paths.create()
    connection = await find_server(paths)
    if connection is None:
        raise AppError(
            "server_unreachable",
            "No Freehold server runs, so no model is loaded.",
            "`freehold serve` starts one.",
        )
    client = connection.client
    try:
        ref = await find_ref(client, text)
        was_loaded = any(engine.ref == ref for engine in (await client.state()).engines)
        await client.unload_model(ref)
    finally:
        await client.close()
    return was_loaded
