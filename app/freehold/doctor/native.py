"""The native libraries: whether they load, for which backend they were built, and why."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freehold.doctor.check import Check
from freehold.engine.kernels import SWITCH_VARIABLE, KernelState, list_kernels, read_switch
from freehold.units import format_bytes

PROBE_WITHIN_S = 60.0
BUILD_AGAIN = "Run `make run` to build the native libraries again."


@dataclass(frozen=True, slots=True)
class NativeState:
    """What the probe process and the build's own note say.

    decision: the note that the build left beside the environment; empty if there is none.
    """

    report: Mapping[str, Any]
    decision: Mapping[str, Any]
    problem: str = ""

    @property
    def backend(self) -> str:
        """Return "cuda" if a GPU can be used now, else "cpu"."""
        kinds = {device["kind"] for device in self.report.get("devices", ())}
        return "cuda" if kinds & {"GPU", "integrated GPU"} else "cpu"


def look(environment: Path) -> NativeState:
    """Ask a child process what the native libraries are."""
    try:
        decision = json.loads((environment / "freehold-build.json").read_text("utf-8"))
    except (OSError, ValueError):
        decision = {}
    try:
        child = subprocess.run(
            [sys.executable, "-m", "freehold.engine.probe"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PROBE_WITHIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return NativeState({}, decision, f"the probe did not answer in {PROBE_WITHIN_S:.0f} s")
    return read_probe(child.returncode, child.stdout, child.stderr, decision)


def read_probe(status: int, output: str, errors: str, decision: Mapping[str, Any]) -> NativeState:
    """Return the state told by the probe's exit status and output."""
    try:
        report = json.loads(output)
    except ValueError:
        report = {}
    if status < 0:
        return NativeState({}, decision, f"the probe was ended by signal {-status}")
    if "devices" not in report:
        last = errors.strip().splitlines()[-1:] or ["no output"]
        return NativeState({}, decision, str(report.get("error") or last[0]))
    return NativeState(report, decision)


def check_library(state: NativeState) -> Check:
    """Return whether llama.cpp loads."""
    if state.problem:
        return Check("native_library", False, state.problem, BUILD_AGAIN)
    return Check("native_library", True, f"{state.report['folder']} ({state.report['system']})")


def check_chat_library(state: NativeState) -> Check:
    """Return whether the chat-format library loads beside it."""
    if state.problem:
        return Check("chat_library", False, "not looked at: llama.cpp does not load", BUILD_AGAIN)
    if "chat_abi" not in state.report:
        return Check("chat_library", False, str(state.report.get("error", "")), BUILD_AGAIN)
    return Check("chat_library", True, f"interface version {state.report['chat_abi']}")


def check_backend(state: NativeState) -> Check:
    """Return which backend was built and why, and whether its devices are there."""
    built = str(state.decision.get("backend", ""))
    reason = str(state.decision.get("reason", "Why it was built so is not recorded."))
    devices = state.report.get("devices", ())
    listed = ", ".join(
        f"{device['name']} {device['description']} ({format_bytes(device['total_bytes'])})"
        for device in devices
    )
    detail = f"{state.backend.upper()}. {reason} Devices: {listed or 'none'}."
    if built == "cuda" and state.backend == "cpu" and not state.problem:
        return Check(
            "backend",
            False,
            f"Built for CUDA, but no GPU is seen now. Devices: {listed or 'none'}.",
            "Check the NVIDIA driver with nvidia-smi; models run on the CPU meanwhile.",
            needed=False,
        )
    fix = ""
    if built == "cpu" and state.decision.get("driver"):
        fix = "Install a CUDA toolkit that fits the driver and run `make run` again."
    return Check("backend", True, detail, fix, needed=False)


def expert_kernels(state: NativeState) -> tuple[KernelState, ...]:
    """Return whether each of Freehold's expert kernels is used, and why."""
    switch = read_switch(os.environ.get(SWITCH_VARIABLE))
    pack = state.report.get("pack") or {}
    return list_kernels(pack, state.report.get("devices", ()), switch)


def check_pack(state: NativeState) -> Check:
    """Return what became of the GPU pack: its kernels, and which of them are on."""
    pack = state.report.get("pack") or {}
    name, folder = "gpu_pack", pack.get("folder", "")
    if pack.get("state") == "refused":
        hint = "Models run without it. Build it again with `make gpu-pack`, or remove the folder."
        return Check(name, False, f"{folder} is not used: {pack['reason']}", hint, needed=False)
    if pack.get("state") != "loaded":
        return Check(name, True, f"none in {folder or 'its folder'}", needed=False)
    if pack["reason"]:
        hint = "The GPU is used with llama.cpp's own kernels. Build the pack again for Freehold's."
        return Check(name, False, f"{folder}: {pack['reason']}", hint, needed=False)
    kernels = expert_kernels(state)
    switched = ", ".join(f"{each.name} {'on' if each.on else 'off'}" for each in kernels)
    reasons = "; ".join(dict.fromkeys(each.why for each in kernels))
    detail = f"expert kernels {pack['version']} for {pack['built_for']}: {switched} ({reasons})"
    asleep = not any(on for _, on in pack["kernels"])
    hint = "They are off until they are measured on a GPU; FREEHOLD_MOE=1 turns them on."
    return Check(name, True, detail, hint if asleep else "", needed=False)
