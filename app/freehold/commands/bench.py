"""`freehold bench`: measure this machine with this build."""

from __future__ import annotations

import argparse
import asyncio
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
    kernels = kinds.add_parser(
        "kernels",
        help="llama.cpp's expert kernels and Freehold's on this GPU, by turns",
        description="Measure whole expert layers of known models with llama.cpp's own CUDA kernels "
        "and with Freehold's, by turns in one process, with experts drawn anew and weights larger "
        "than the GPU's cache. Needs a GPU and the GPU pack.",
    )
    kernels.add_argument("--case", default="", metavar="TEXT", help="only cases with this name")
    kernels.add_argument("--rounds", type=int, default=5, help="how often (default 5; the median)")
    kernels.add_argument("--json", action="store_true", help="print one JSON document")
    documents = kinds.add_parser(
        "documents",
        help="time to index 10,000 pages, to search 100,000 passages, and to embed",
        description="Index 10,000 pages made by rules, search them by words, search vectors of "
        "100,000 passages and more, and embed passages with the bundled embedder.",
    )
    documents.add_argument(
        "--passages",
        type=int,
        default=250_000,
        metavar="N",
        help="the most vectors to search (default 250000; 1000000 takes 4 GB of memory)",
    )
    documents.add_argument("--json", action="store_true", help="print one JSON document")
    download = kinds.add_parser(
        "download",
        help="the downloader beside curl and hf, and a listing of 1 TB; over loopback",
        description="Fetch the same files from a hub on loopback with curl, hf and Freehold by "
        "turns, then plan and show a listing of 1 TB in 33 files. Needs the repository's tests.",
    )
    download.add_argument("--gb", type=float, default=2.0, help="size of the one file (default 2)")
    download.add_argument(
        "--shard-gb", type=float, default=1.0, help="size of each of four shards (default 1)"
    )
    download.add_argument("--rounds", type=int, default=3, help="how often (default 3; the median)")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    if args.kind == "download":
        from freehold.commands.bench_download import measure_download

        return measure_download(args)
    if args.kind == "documents":
        return run_documents(args)
    return run_kernels(args) if args.kind == "kernels" else run_engine(args)


def run_kernels(args: argparse.Namespace) -> int:
    """Measure the expert kernels and print."""
    from freehold.commands.bench_kernels import measure_kernels

    def tell(text: str) -> None:
        if not args.json:
            print(text, flush=True)

    rows = measure_kernels(args.case, max(1, args.rounds), tell)
    if args.json:
        print(json.dumps({"kernels": rows}))
    return 0


def run_engine(args: argparse.Namespace) -> int:
    """Measure the engine and print."""
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


def run_documents(args: argparse.Namespace) -> int:
    """Measure documents and print."""
    from freehold.commands.bench_documents import Figures, measure, show

    figures: dict[str, Figures] = {}

    def tell(part: str, values: Figures) -> None:
        figures[part] = values
        if not args.json:
            show(part, values)

    asyncio.run(measure(tell, passages=args.passages))
    if args.json:
        print(json.dumps(figures))
    return 0
