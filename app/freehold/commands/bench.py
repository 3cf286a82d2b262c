"""`freehold bench`: measure this machine with this build."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what can be measured."""
    kinds = parser.add_subparsers(dest="kind", metavar="WHAT", required=True)
    engine = kinds.add_parser(
        "engine",
        help="tokens/s of llama.cpp alone, of the engine process, and through the server's HTTP",
        description="Measure 1, 4 and 16 streams of one model: a bare llama_decode loop, the "
        "engine process without HTTP, and streams over the server's HTTP with the client beside "
        "it. The three are measured by turns, so that other programs disturb them alike.",
    )
    engine.add_argument("--model", type=Path, metavar="PATH", help="a GGUF file; default a toy")
    engine.add_argument("--rounds", type=int, default=3, help="how often (default 3; the median)")
    engine.add_argument("--tokens", type=int, default=128, help="tokens per stream (default 128)")
    engine.add_argument("--threads", type=int, help="CPU threads; default by trying")
    engine.add_argument("--no-http", action="store_true", help="leave the server out")
    engine.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    from freehold.commands.bench_engine import Row, measure_engine

    def tell(text: str) -> None:
        if not args.json:
            print(text, flush=True)

    rows: list[Row] = measure_engine(
        args.model,
        rounds=max(1, args.rounds),
        tokens=max(2, args.tokens),
        threads=args.threads,
        with_http=not args.no_http,
        tell=tell,
    )
    if args.json:
        print(json.dumps({"streams": [row.to_dict() for row in rows]}))
        return 0
    tell("streams   bare loop   engine process        over HTTP   (tokens/s, median)")
    for row in rows:
        tell(row.to_line())
    return 0
