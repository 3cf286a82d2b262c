"""`freehold convert`: make a GGUF from a checkpoint in safetensors."""

from __future__ import annotations

import argparse
import asyncio

from freehold.client.discovery import ensure_server
from freehold.commands.making import follow
from freehold.commands.model_access import full_path
from freehold.paths import user_paths
from freehold.wire_files import ConvertRequest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("folder", metavar="FOLDER", help="a checkpoint as it is on the hub")
    parser.add_argument(
        "--type",
        choices=("auto", "f16", "bf16", "q8_0"),
        default="auto",
        help="of the weights that are written (default: auto, as the checkpoint has them)",
    )
    parser.add_argument("--name", default="", help="of the result; default: the folder's")
    parser.add_argument("--json", action="store_true", help="print JSON, one document a line")


def run(args: argparse.Namespace) -> int:
    """Convert and wait; Ctrl-C cancels."""
    return asyncio.run(_convert(args))


async def _convert(args: argparse.Namespace) -> int:
    connection = await ensure_server(user_paths())
    client = connection.client
    try:
        request = ConvertRequest(folder=str(full_path(args.folder)), kind=args.type, name=args.name)
        return await follow(client, await client.files.convert(request), as_json=args.json)
    finally:
        await client.close()
