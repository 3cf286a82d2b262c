"""`freehold load`: load a model into its engine process, starting the server if none runs."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable

import msgspec

from freehold.client.discovery import ensure_server
from freehold.client.protocol import Client
from freehold.commands.model_access import find_ref
from freehold.errors import AppError
from freehold.paths import user_paths
from freehold.wire import EngineChanged, EngineState, ErrorInfo, LoadRequest, Resync

Show = Callable[[EngineState], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments; what is not given stays as it was used last."""
    parser.add_argument("ref", metavar="REF", help="the model's name, or a GGUF file")
    parser.add_argument("--context", type=int, metavar="N", help="tokens of context for all")
    parser.add_argument("--parallel", type=int, metavar="N", help="requests that run at once")
    parser.add_argument("--gpu-layers", type=int, metavar="N", help="layers on the GPU")
    parser.add_argument(
        "--device",
        action="append",
        metavar="NAME",
        help="a device to use, in order; several times for several, `none` for the CPU alone",
    )
    parser.add_argument(
        "--cpu-expert-layers", type=int, metavar="N", help="keep the experts of N layers in RAM"
    )
    parser.add_argument("--kv", metavar="TYPE", help="type of the KV cache: f16, q8_0, q4_0, …")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads")
    parser.add_argument(
        "--memory", choices=("mmap", "mlock", "read"), help="how the weights are read"
    )
    parser.add_argument("--json", action="store_true", help="print states as JSON, one per line")


def run(args: argparse.Namespace) -> int:
    """Load the model and wait until it is ready."""
    return asyncio.run(_load(args))


def to_request(args: argparse.Namespace) -> LoadRequest:
    """Return the load options given on the command line."""
    devices = args.device
    return LoadRequest(
        context_tokens=args.context,
        parallel=args.parallel,
        devices=None if devices is None else tuple(d for d in devices if d != "none"),
        gpu_layers=args.gpu_layers,
        cpu_expert_layers=args.cpu_expert_layers,
        kv_type_k=args.kv,
        kv_type_v=args.kv,
        threads=args.threads,
        memory=args.memory,
    )


async def _load(args: argparse.Namespace) -> int:
    connection = await ensure_server(user_paths())
    client = connection.client
    try:
        ref = await find_ref(client, args.ref)
        await client.load_model(ref, to_request(args))
        state = await wait_ready(client, ref, show=_show_json if args.json else _show_line)
    finally:
        await client.close()
    if args.json:
        _show_json(state)
    else:
        if sys.stderr.isatty():
            print(file=sys.stderr)
        where = ", ".join(state.devices) or "CPU"
        print(f"{state.ref} is ready: {state.context_tokens:,} tokens of context on {where}.")
    return 0


async def wait_ready(client: Client, ref: str, *, show: Show) -> EngineState:
    """Follow a load that has been asked for to its end.

    Raises: AppError with the cause when the load fails.
    """
    now = await client.state()
    known = {engine.ref: engine for engine in now.engines}
    if ref not in known or known[ref].phase != "loading":
        return _checked(known.get(ref), ref)
    # From here on: what came before may be the end of the engine this load takes the place of.
    async for envelope in client.events(now.seq):
        event = envelope.event
        if isinstance(event, Resync):
            return await wait_ready(client, ref, show=show)
        if not isinstance(event, EngineChanged) or event.ref != ref:
            continue
        if event.engine is not None and event.engine.phase == "loading":
            show(event.engine)
            continue
        return _checked(event.engine, ref)
    raise AppError("server_unreachable", "The server ended.", "Try again.", retryable=True)


def _checked(state: EngineState | None, ref: str) -> EngineState:
    if state is None or state.phase == "unloading":
        raise AppError("cancelled", f"{ref} was unloaded.", "Load it again.", retryable=True)
    if state.phase != "ready":
        raise AppError.from_dict(
            msgspec.to_builtins(state.error or ErrorInfo(code="internal", message="Not loaded."))
        )
    return state


def _show_json(state: EngineState) -> None:
    print(json.dumps(msgspec.to_builtins(state)), flush=True)


def _show_line(state: EngineState) -> None:
    if sys.stderr.isatty():
        print(f"\rloading {state.ref} {state.fraction:4.0%}", end="", file=sys.stderr, flush=True)
