"""`freehold search`: find models on the hub, or in the list that comes with Freehold."""

from __future__ import annotations

import argparse
import asyncio
import json

import msgspec

from freehold.commands.hub_access import open_finder
from freehold.paths import user_paths
from freehold.units import format_bytes, format_count
from freehold.wire_library import CatalogEntry, HubModel, HubQuery


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "text", nargs="*", help="words to look for; without any, the list that comes with Freehold"
    )
    parser.add_argument("--author", default="", metavar="NAME", help="of this account alone")
    parser.add_argument("--task", default="", metavar="TASK", help="such as text-generation")
    parser.add_argument("--licence", default="", metavar="NAME", help="such as apache-2.0")
    parser.add_argument("--architecture", default="", metavar="NAME", help="such as deepseek2")
    parser.add_argument(
        "--sort",
        choices=("trending", "downloads", "likes", "newest"),
        default="trending",
        help="the order (default: trending)",
    )
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="how many (default: 20)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Print what was found."""
    finder = open_finder(user_paths())
    query = HubQuery(
        text=" ".join(args.text),
        author=args.author,
        task=args.task,
        licence=args.licence,
        architecture=args.architecture,
        sort=args.sort,
        limit=args.limit,
    )
    if not any((query.text, query.author, query.task, query.licence, query.architecture)):
        entries = asyncio.run(finder.catalog())
        if args.json:
            print(json.dumps(msgspec.to_builtins(entries)))
        else:
            print_catalog(entries)
        return 0
    found = asyncio.run(finder.search(query))
    if args.json:
        print(json.dumps(msgspec.to_builtins(found)))
    elif found:
        print_models(found)
    else:
        print("The hub has no model in GGUF format that fits this search.")
    return 0


def print_models(models: tuple[HubModel, ...]) -> None:
    """Print one line per repository."""
    width = max(len(model.repository) for model in models)
    for model in models:
        size = format_count(model.parameters) if model.parameters else ""
        gated = "gated" if model.gated else ""
        loads = f"{format_count(model.downloads)} downloads"
        print(
            f"{model.repository:<{width}}  {size:>7}  {model.architecture:<12} {loads:>16}"
            f"  {model.licence:<12} {gated}".rstrip()
        )


def print_catalog(entries: tuple[CatalogEntry, ...]) -> None:
    """Print one line per model of the short list."""
    width = max(len(entry.repository) for entry in entries)
    for entry in entries:
        smallest = entry.variants[0] if entry.variants else None
        fit = f"from {format_bytes(smallest.bytes)}" if smallest else ""
        label = smallest.fit.label if smallest and smallest.fit else ""
        print(
            f"{entry.repository:<{width}}  {format_count(entry.parameters):>7}  {fit:<12} "
            f"{label}".rstrip()
        )
