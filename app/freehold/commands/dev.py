"""`freehold dev`: tools for developers of Freehold."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from freehold.errors import AppError
from freehold.library.model_maker.recipe import KINDS, SIZES, Recipe, write_model
from freehold.units import format_bytes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the tools and their options."""
    tools = parser.add_subparsers(dest="tool", required=True, metavar="TOOL")
    make = tools.add_parser(
        "make-model",
        help="write a GGUF of random weights, for tests and benchmarks",
        description="Write a GGUF of random weights in a real model's shape.",
    )
    make.add_argument("out", type=Path, metavar="OUT", help="the file to write")
    make.add_argument("--size", choices=SIZES, default="tiny", help="default: tiny (3 MB)")
    make.add_argument(
        "--kind", choices=KINDS, default="kimi", help="default: kimi (384 experts, MLA)"
    )
    make.add_argument("--template", type=Path, metavar="FILE", help="use this chat template")
    make.add_argument("--arch", metavar="NAME", help="write this as the architecture's name")
    make.add_argument("--context", type=_positive, metavar="N", help="trained context in tokens")
    make.add_argument("--seed", type=int, default=1, help="default: 1")
    make.add_argument("--name", help="the model's name in its metadata")
    make.add_argument(
        "--answer-tokens",
        type=_positive,
        metavar="N",
        help="end answers by themselves after about N tokens; default: never",
    )
    make.add_argument("--json", action="store_true", help="print what was written as JSON")


def run(args: argparse.Namespace) -> int:
    """Write the model and say where it is."""
    recipe = Recipe(
        kind=args.kind,
        size=args.size,
        seed=args.seed,
        template=_read(args.template),
        arch=args.arch,
        context_tokens=args.context,
        name=args.name,
        answer_tokens=args.answer_tokens,
    )
    try:
        size = write_model(args.out, recipe)
    except OSError as error:
        raise AppError(
            "storage_failed",
            f"{args.out} could not be written: {error.strerror}.",
            "Choose another folder, or make room on the disk.",
        ) from error
    if args.json:
        print(json.dumps({"path": str(args.out.absolute()), "bytes": size}))
    else:
        print(f"{args.out}: {format_bytes(size)} of random weights, for tests and benchmarks only.")
    return 0


def _read(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AppError(
            "invalid_request", f"The template {file} cannot be read: {error}.", "Check the path."
        ) from error


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value
