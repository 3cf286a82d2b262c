"""`freehold show`: a repository of the hub and whether it fits, or what a model here holds."""

from __future__ import annotations

import argparse
import asyncio
import json

import msgspec

from freehold.commands.hub_access import open_finder
from freehold.commands.pull import split_name
from freehold.commands.show_file import find_file, show_file
from freehold.errors import AppError
from freehold.paths import user_paths
from freehold.units import format_bytes, format_count, format_rate
from freehold.wire_library import HubPage, VariantFacts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "name",
        metavar="OWNER/REPO[:VARIANT]|PATH|REF",
        help="a repository of the hub (with a variant its headers are read), or a model here",
    )
    here = parser.add_argument_group("of a model on this machine")
    here.add_argument("--tensors", action="store_true", help="print every tensor")
    here.add_argument("--metadata", action="store_true", help="print every metadata value")
    here.add_argument("--template", action="store_true", help="print the chat template")
    here.add_argument("--filter", default="", metavar="WORDS", help="only tensors with all of them")
    parser.add_argument("--card", action="store_true", help="print the model card too")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Print the page, a variant's facts, or what a model here holds."""
    is_here = args.tensors or args.metadata or args.template
    found = find_file(args.name, is_here=is_here)
    if found is not None:
        return show_file(args, *found)
    if is_here or "/" not in args.name:
        raise AppError(
            "model_not_found",
            f"There is no model called {args.name} on this machine.",
            "`freehold models` lists them; a path works too.",
        )
    finder = open_finder(user_paths())
    repository, variant = split_name(args.name)
    if variant:
        facts = asyncio.run(finder.facts(repository, variant))
        if args.json:
            print(json.dumps(msgspec.to_builtins(facts)))
        else:
            print_facts(facts)
        return 0
    page = asyncio.run(finder.page(repository))
    if args.json:
        print(json.dumps(msgspec.to_builtins(page)))
    else:
        print_page(page, with_card=args.card)
    return 0


def print_page(page: HubPage, *, with_card: bool) -> None:
    """Print the conditions and one line per variant."""
    model = page.model
    facts = [
        model.architecture,
        f"{format_count(model.parameters)} parameters" if model.parameters else "",
        f"{format_count(model.context_tokens)} context" if model.context_tokens else "",
        f"licence {model.licence}" if model.licence else "",
        "gated: its licence must be accepted on its page" if model.gated else "",
    ]
    print(model.repository)
    print(", ".join(fact for fact in facts if fact) or "The hub knows nothing more of it.")
    print(page.link)
    for variant in page.variants:
        bits = f"{variant.bits_per_weight:.2f} bits" if variant.bits_per_weight else ""
        files = f"{variant.files} files" if variant.files > 1 else ""
        fit = variant.fit.label if variant.fit else ""
        missing = f"{variant.missing} files are missing" if variant.missing else fit
        star = "  recommended" if variant.recommended else ""
        print(
            f"  {variant.name:<16} {format_bytes(variant.bytes):>8}  {bits:>9}  {files:>9}"
            f"  {missing}{star}"
        )
    if page.refused:
        print(f"  {page.refused} files are not offered: their names are not safe.")
    if with_card:
        print(f"\n{page.card}")


def print_facts(facts: VariantFacts) -> None:
    """Print what the headers of a variant say."""
    print(f"{facts.repository}:{facts.variant}")
    print(
        f"{facts.architecture}, {format_count(facts.parameters)} parameters"
        f" ({format_count(facts.active_parameters)} at work per token),"
        f" {facts.bits_per_weight:.2f} bits per weight"
    )
    if facts.experts:
        print(f"{facts.experts_used} of {facts.experts} experts per token")
    print(f"{facts.layers} layers, {facts.context_tokens:,} tokens of context")
    for part, count in sorted(facts.bytes_by_part.items(), key=lambda item: -item[1]):
        print(f"  {part.replace('_', ' '):<16} {format_bytes(count):>8}")
    print("  " + ", ".join(f"{k} {format_bytes(v)}" for k, v in facts.bytes_by_type.items()))
    speed = facts.decode_tokens_per_s
    rate = f" About {format_rate(speed)} (estimated)." if speed else ""
    print(f"{facts.fit.label}: {facts.fit.reason}{rate}")
