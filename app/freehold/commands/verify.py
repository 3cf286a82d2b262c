"""`freehold verify`: read a model's files again and compare them with the hub's checksums."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import re
import sys
from pathlib import Path
from typing import Final

from freehold.client.discovery import ensure_server
from freehold.commands.model_access import find_ref
from freehold.errors import AppError
from freehold.gguf.shards import part_paths
from freehold.paths import user_paths
from freehold.units import format_bytes
from freehold.wire_library import FileChecksum

READ_BYTES: Final = 8 << 20
# Hugging Face and Ollama name their files after what is in them.
_NAMED: Final = re.compile(r"(?:sha256-)?([0-9a-f]{64})")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("ref", metavar="REF", help="the model's name, or its path")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Compare and print; the exit status is 1 when a file differs."""
    ref, files = asyncio.run(_files(args.ref))
    results = [check_file(file, quiet=args.json) for file in files]
    sound = all(result["ok"] is not False for result in results)
    known = any(result["ok"] is not None for result in results)
    if args.json:
        print(json.dumps({"ref": ref, "ok": sound and known, "files": results}))
    elif not known:
        print(f"No checksum is known for {ref}: Freehold did not download it.")
        print("The files can be read to the end; their SHA-256 sums are above.")
    elif sound:
        print(f"{ref} is what the hub has, byte for byte.")
    if not sound:
        print(
            f"freehold: {ref} is damaged. Remove it with its files (`freehold rm {ref}"
            " --delete-files`) and pull it again.",
            file=sys.stderr,
        )
    return 0 if sound else 1


async def _files(text: str) -> tuple[str, tuple[FileChecksum, ...]]:
    connection = await ensure_server(user_paths())
    client = connection.client
    try:
        ref = await find_ref(client, text)
        entry = next((m for m in (await client.state()).models if m.ref == ref), None)
        if entry is None:
            raise AppError(
                "model_not_found", f"There is no model called {ref}.", "See `freehold models`."
            )
        known = await client.checksums(ref)
        if known:
            return ref, known
    finally:
        await client.close()
    paths = await asyncio.to_thread(part_paths, Path(entry.path))
    return ref, tuple(named_checksum(path) for path in paths)


def named_checksum(path: Path) -> FileChecksum:
    """Return a file with the checksum that its own name tells, "" where it tells none."""
    real = Path(os.path.realpath(path))
    match = _NAMED.fullmatch(real.name)
    size = real.stat().st_size if real.exists() else 0
    return FileChecksum(path=str(path), bytes=size, sha256=match[1] if match else "")


def check_file(file: FileChecksum, *, quiet: bool) -> dict[str, object]:
    """Return what a file's checksum is and whether it is right (None: nothing to compare)."""
    try:
        with Path(file.path).open("rb") as stream:
            digest = hashlib.sha256()
            while piece := stream.read(READ_BYTES):
                digest.update(piece)
            size = stream.tell()
    except OSError as error:
        if not quiet:
            print(f"{Path(file.path).name}: cannot be read ({error.strerror})")
        return {"path": file.path, "ok": False, "sha256": None}
    found = digest.hexdigest()
    ok = None if not file.sha256 else found == file.sha256 and size == file.bytes
    if not quiet:
        words = {True: "as on the hub", False: "DAMAGED", None: found}[ok]
        print(f"{Path(file.path).name}  {format_bytes(size)}  {words}")
    return {"path": file.path, "ok": ok, "sha256": found}
