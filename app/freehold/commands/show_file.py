"""`freehold show PATH`: what a model on this machine holds."""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path

import msgspec

from freehold.commands.model_access import full_path, open_models
from freehold.errors import AppError
from freehold.library.anatomy import read_anatomy, read_tensors
from freehold.paths import user_paths
from freehold.units import format_bytes, format_count
from freehold.wire_files import ModelAnatomy, TensorRow


def find_file(text: str, *, is_here: bool) -> tuple[Path, str] | None:
    """Return path and name of a file here, or of a model in the library; None for neither.

    is_here: only a model here is meant, also by a name that a repository of the hub may have.
    """
    path = full_path(text)
    if text.lower().endswith(".gguf") or path.is_file():
        return path, path.name
    return asyncio.run(_in_library(text)) if is_here or "/" not in text else None


async def _in_library(ref: str) -> tuple[Path, str] | None:
    async with open_models(user_paths()) as models:
        entries = {entry.ref.casefold(): entry for entry in await models.entries()}
    found = entries.get(ref.casefold())
    return (Path(found.path), found.ref) if found is not None else None


def show_file(args: argparse.Namespace, path: Path, name: str) -> int:
    """Print what the headers say, or each tensor, metadata value or the chat template."""
    if args.tensors:
        tensors = _filtered(read_tensors(path), args.filter)
        if args.json:
            print(json.dumps([_as_object(row) for row in tensors]))
        else:
            print_tensors(tensors)
        return 0
    anatomy = read_anatomy(path, name)
    if args.json:
        print(json.dumps(msgspec.to_builtins(anatomy)))
    elif args.template:
        if not anatomy.chat_template:
            raise AppError("not_found", f"{name} has no chat template.", "It is read as it is.")
        print(anatomy.chat_template)
    elif args.metadata:
        for row in anatomy.metadata:
            print(f"{row.key}  {' '.join(row.value.split())[:200]}")
    else:
        print_anatomy(anatomy)
    return 0


def print_anatomy(anatomy: ModelAnatomy) -> None:
    """Print what a model is and where its bytes are."""
    print(anatomy.name)
    active = f" ({format_count(anatomy.active_parameters)} at work per token)"
    print(
        f"{anatomy.arch}, {format_count(anatomy.parameters)} parameters{active},"
        f" {anatomy.quant}, {anatomy.bits_per_weight:.2f} bits per weight"
    )
    if anatomy.experts:
        print(f"{anatomy.experts_used} of {anatomy.experts} experts per token")
    print(
        f"{anatomy.layers} layers, {anatomy.context_tokens:,} tokens of context,"
        f" {anatomy.tokenizer.tokens:,} in its vocabulary"
    )
    for piece, count in sorted(anatomy.bytes_by_piece.items(), key=lambda item: -item[1]):
        share = count / max(1, anatomy.tensor_bytes)
        print(f"  {piece.replace('_', ' '):<16} {format_bytes(count):>8}  {share:>6.1%}")
    types = sorted(anatomy.bytes_by_type.items(), key=lambda item: -item[1])
    print("  " + ", ".join(f"{kind} {format_bytes(count)}" for kind, count in types))
    count = len(anatomy.files)
    print(f"{anatomy.tensors:,} tensors in {count} {'file' if count == 1 else 'files'}:")
    for file in anatomy.files:
        print(f"  {format_bytes(file.bytes):>8}  {file.path}")


def print_tensors(tensors: tuple[TensorRow, ...]) -> None:
    """Print one line per tensor and the sum."""
    width = max((len(row.name) for row in tensors), default=0)
    for row in tensors:
        shape = " x ".join(str(size) for size in row.shape)
        print(f"{row.name:<{width}}  {row.kind:<8} {format_bytes(row.bytes):>8}  {shape}")
    print(f"{len(tensors):,} tensors, {format_bytes(sum(row.bytes for row in tensors))}")


def _filtered(tensors: tuple[TensorRow, ...], text: str) -> tuple[TensorRow, ...]:
    words = text.casefold().split()
    return tuple(
        row
        for row in tensors
        if all(word in f"{row.name} {row.kind} {row.piece}".casefold() for word in words)
    )


def _as_object(row: TensorRow) -> dict[str, object]:
    return {
        "name": row.name,
        "type": row.kind,
        "shape": list(row.shape),
        "bytes": row.bytes,
        "layer": row.layer,
        "piece": row.piece,
        "file": row.file,
    }
