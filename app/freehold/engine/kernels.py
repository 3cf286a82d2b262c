"""Freehold's expert kernels: what FREEHOLD_MOE asks for, and whether each is on and why. Pure.

The kernels themselves are C++ (kernels/moe); the pack that brings them is loaded by `gpu_pack`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

SWITCH_VARIABLE: Final = "FREEHOLD_MOE"
KERNELS: Final = ("stream", "feed_forward", "router", "plan")
PURPOSES: Final = {
    "stream": "experts' matrices, each read once",
    "feed_forward": "a whole expert layer in one launch, up to 8 tokens",
    "router": "choosing experts",
    "plan": "the stock matrix code, driven by a list of tiles",
}


@dataclass(frozen=True, slots=True)
class Switch:
    """What FREEHOLD_MOE asks for. `unknown`: names there are no kernels of; then all are off."""

    on: frozenset[str]
    said: str
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KernelState:
    """One kernel: whether it is used, and why or why not."""

    name: str
    on: bool
    why: str


def read_switch(text: str | None) -> Switch:
    """Return what FREEHOLD_MOE means: "0", "1", or names by comma; None where it is not set."""
    if text is None:
        return Switch(frozenset(), "not asked for; they wait to be measured on a GPU")
    said = f"{SWITCH_VARIABLE}={text}"
    if text in ("0", "1"):
        return Switch(frozenset(KERNELS if text == "1" else ()), said)
    names = text.split(",")
    unknown = tuple(name for name in names if name not in KERNELS)
    return Switch(frozenset() if unknown else frozenset(names), said, unknown)


def list_kernels(
    pack: Mapping[str, Any], devices: Sequence[Mapping[str, Any]], switch: Switch
) -> tuple[KernelState, ...]:
    """Return the state of each kernel.

    pack, devices: as the probe reports them (`engine/probe.py`).
    """
    why = _why_none(pack, devices)
    if why:
        return tuple(KernelState(name, False, why) for name in KERNELS)
    if switch.unknown:
        names = ", ".join(switch.unknown)
        why = f"{switch.said} names what does not exist: {names}"
    elif pack.get("reason"):
        why = str(pack["reason"])
    said = dict(pack.get("kernels") or ())
    return tuple(
        KernelState(
            name,
            bool(said.get(name, False)),
            why or (switch.said if name in said else "this pack does not have it"),
        )
        for name in KERNELS
    )


def _why_none(pack: Mapping[str, Any], devices: Sequence[Mapping[str, Any]]) -> str:
    """Return why no kernel can be in use, "" if one can."""
    state = pack.get("state", "absent")
    if state == "absent":
        return "no GPU pack is installed"
    if state == "refused":
        return f"the GPU pack is not used: {pack.get('reason', '')}"
    if all(device.get("kind") == "CPU" for device in devices):
        return "no GPU is seen"
    return ""


def describe(kernels: Sequence[KernelState], pack: Mapping[str, Any]) -> str:
    """Return one line for the Machine page."""
    on = [kernel.name.replace("_", " ") for kernel in kernels if kernel.on]
    version = f"version {pack['version']}" if pack.get("version") else ""
    if on:
        return f"{version}, on: {', '.join(on)}"
    reason = kernels[0].why if kernels else "unknown"
    return f"{version}, off: {reason}" if version else f"off: {reason}"
