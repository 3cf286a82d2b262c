"""`freehold plan`: does this model fit this machine, or one you may buy; where, why, how fast."""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path

import msgspec

from freehold.commands.model_access import full_path, open_models
from freehold.errors import AppError
from freehold.machine.plan.kv import KV_TYPES
from freehold.machine.planner import plan_model
from freehold.machine.service import open_places
from freehold.paths import user_paths
from freehold.units import format_bytes, format_rate
from freehold.wire_machine import DevicePlan, Plan, PlanRequest

PART_NAMES = {
    "attention": "attention",
    "experts": "experts",
    "shared_experts": "shared experts",
    "dense": "embeddings and dense layers",
    "kv_cache": "KV cache",
    "compute": "working buffers",
    "projector": "projector",
    "draft": "draft model",
    "reserve": "kept free",
}
VERDICT_WORDS = {
    "gpu": "It fits on the GPU.",
    "gpu+ram": "It fits.",
    "disk": "It runs from the disk: slowly.",
    "no": "It does not fit.",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("ref", metavar="REF|PATH", help="the model's name, or a GGUF file")
    parser.add_argument("--context", type=int, metavar="N", help="tokens of context for all chats")
    parser.add_argument("--parallel", type=int, default=4, metavar="N", help="chats at a time")
    parser.add_argument("--kv", default="f16", choices=KV_TYPES, help="type of the KV cache")
    parser.add_argument(
        "--device", action="append", metavar="NAME", help="a GPU to use; `none` for the CPU alone"
    )
    parser.add_argument(
        "--keep-free", type=float, metavar="GB", help="gigabytes to keep free on each GPU"
    )
    parser.add_argument("--draft", default="", metavar="PATH", help="a draft model beside it")
    parser.add_argument("--projector", default="", metavar="PATH", help="its vision projector")
    parser.add_argument("--machine", default="", metavar="NAME", help="a machine one may buy")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Print the plan; a plan that says no is an answer, not a failure."""
    plan = asyncio.run(_plan(args))
    if args.json:
        print(json.dumps(msgspec.to_builtins(plan)))
    else:
        for line in describe(plan):
            print(line)
    return 0


async def _plan(args: argparse.Namespace) -> Plan:
    path = await _find(args.ref)
    devices = None if args.device is None else tuple(d for d in args.device if d != "none")
    request = PlanRequest(
        ref=args.ref,
        context_tokens=args.context,
        parallel=args.parallel,
        kv_type=args.kv,
        devices=devices,
        reserve_bytes=() if args.keep_free is None else (round(args.keep_free * 1e9),),
        draft=str(full_path(args.draft)) if args.draft else "",
        projector=str(full_path(args.projector)) if args.projector else "",
        machine=args.machine,
    )
    places = await open_places(user_paths())
    try:
        return await plan_model(path, request, await places.place(args.machine, path))
    finally:
        places.close()


async def _find(text: str) -> Path:
    """Return the file a REF or path means; a file need not be in the library."""
    path = full_path(text)
    if await asyncio.to_thread(path.is_file):
        return path
    async with open_models(user_paths()) as models:
        for entry in await models.entries():
            if entry.ref == text:
                return Path(entry.path)
    raise AppError(
        "model_not_found",
        f"There is no model called {text[:120]!r}.",
        "`freehold models` lists them; a path to a GGUF file will do too.",
        detail={"model": text},
    )


def describe(plan: Plan) -> list[str]:
    """Return a plan as lines for a person."""
    lines = [VERDICT_WORDS[plan.verdict], *(f"  {reason}" for reason in plan.reasons)]
    lines += [f"  → {way}" for way in plan.ways_out]
    for device in plan.devices:
        if device.used_bytes:
            lines.append(_device_line(device))
            lines += [f"    {name:<28} {size:>9}" for name, size in _parts(device)]
    if plan.decode_tokens_per_s is not None:
        prefill = (
            f", prompts {format_rate(plan.prefill_tokens_per_s)}"
            if (plan.prefill_tokens_per_s)
            else ""
        )
        lines.append(f"About {format_rate(plan.decode_tokens_per_s)}{prefill} ({plan.basis}).")
    else:
        lines.append("How fast it would be is not known.")
    if plan.real is not None:
        rate = format_rate(plan.real.decode_tokens_per_s)
        lines.append(f"Measured: {rate} over {plan.real.count} answers.")
    return lines


def _device_line(device: DevicePlan) -> str:
    free = f"{format_bytes(device.used_bytes)} of {format_bytes(device.free_bytes)} free"
    return f"{device.name}: {free}{' (pinned by hand)' if device.pinned else ''}"


def _parts(device: DevicePlan) -> list[tuple[str, str]]:
    return [
        (words, format_bytes(getattr(device.parts, name)))
        for name, words in PART_NAMES.items()
        if getattr(device.parts, name)
    ]
