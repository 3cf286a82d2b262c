"""`freehold quantise`: make a model smaller with llama.cpp's own quantiser."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys

import msgspec

from freehold.client.discovery import ensure_server
from freehold.commands.making import follow
from freehold.commands.model_access import find_ref, full_path
from freehold.errors import AppError
from freehold.paths import user_paths
from freehold.units import format_bytes
from freehold.wire_files import QuantisePlan, QuantiseRequest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("ref", metavar="REF", help="a model in F16, BF16 or Q8_0: name or path")
    parser.add_argument("mix", metavar="MIX", help="such as Q4_K_M, Q5_K_M, IQ3_XXS, Q8_0")
    parser.add_argument("--experts", default="", metavar="TYPE", help="the experts' own type")
    parser.add_argument("--shared-experts", default="", metavar="TYPE", help="those of all tokens")
    parser.add_argument("--attention", default="", metavar="TYPE", help="attention's own type")
    parser.add_argument("--embeddings", default="", metavar="TYPE", help="of the token table")
    parser.add_argument("--output", default="", metavar="TYPE", help="of the output layer")
    parser.add_argument(
        "--tensor-type",
        action="append",
        default=[],
        metavar="PATTERN=TYPE",
        help="of tensors whose name matches; may be given several times, the first match counts",
    )
    parser.add_argument("--imatrix", default="", metavar="FILE", help="importance matrix")
    parser.add_argument("--name", default="", help="of the result; default: made from the model's")
    parser.add_argument(
        "--again", action="store_true", help="also a model that is quantised already: it loses more"
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what it would be")
    parser.add_argument("--json", action="store_true", help="print JSON, one document a line")


def run(args: argparse.Namespace) -> int:
    """Plan, then make it and wait; Ctrl-C cancels."""
    return asyncio.run(_quantise(args))


async def _quantise(args: argparse.Namespace) -> int:
    connection = await ensure_server(user_paths())
    client = connection.client
    try:
        request = make_request(args, await find_ref(client, args.ref))
        plan = await client.files.plan_quantise(request)
        if args.dry_run:
            print(json.dumps(msgspec.to_builtins(plan)) if args.json else plan_words(plan))
            return 0
        if not args.json:
            print(plan_words(plan), file=sys.stderr)
        return await follow(client, await client.files.quantise(request), as_json=args.json)
    finally:
        await client.close()


def make_request(args: argparse.Namespace, ref: str) -> QuantiseRequest:
    """Return the request of the command line.

    Raises: AppError `invalid_request` for a pattern without a type.
    """
    types = []
    for text in args.tensor_type:
        pattern, equals, kind = text.rpartition("=")
        if not equals or not pattern:
            raise AppError(
                "invalid_request", f"{text[:80]} is not PATTERN=TYPE.", "As in blk\\.0\\.=Q8_0."
            )
        types.append((pattern, kind))
    return QuantiseRequest(
        ref=ref,
        mix=args.mix,
        experts=args.experts,
        shared_experts=args.shared_experts,
        attention=args.attention,
        embeddings=args.embeddings,
        output=args.output,
        tensor_types=tuple(types),
        matrix=str(full_path(args.imatrix)) if args.imatrix else "",
        again=args.again,
        name=args.name,
    )


def plan_words(plan: QuantisePlan) -> str:
    """Return a plan in a few lines."""
    types = sorted(plan.bytes_by_type.items(), key=lambda item: -item[1])
    lines = [
        f"{plan.name}: {format_bytes(plan.source_bytes)} become {format_bytes(plan.bytes)}"
        f" (calculated), {plan.bits_per_weight:.2f} bits per weight",
        f"{plan.changed:,} of {plan.tensors:,} tensors change: "
        + ", ".join(f"{kind} {format_bytes(size)}" for kind, size in types),
    ]
    if plan.problem:
        lines.append(plan.problem)
    return "\n".join(lines)
