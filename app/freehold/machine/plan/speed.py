"""How fast a plan runs: bytes touched per token and tier, over bandwidths.

Decode reads every dense weight, the experts at work, and the cache of the context once per
token; a layer costs a little besides. Prefill is arithmetic, and the experts in RAM cross the
bus once per batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from freehold.machine.plan.shape import ModelShape
from freehold.wire_machine import Basis, DevicePlan, Plan

# The context for which a speed is given where nobody says otherwise.
TYPICAL_TOKENS: Final = 2048


@dataclass(frozen=True, slots=True)
class GpuSpeed:
    """What a GPU reaches."""

    memory_bytes_per_s: float
    flops: float
    pcie_bytes_per_s: float
    layer_s: float


@dataclass(frozen=True, slots=True)
class MachineSpeed:
    """What a machine's parts reach; weights are those in RAM.

    disk_bytes_per_s: None where it is not known.
    """

    gpus: tuple[GpuSpeed, ...]
    weight_bytes_per_s: float
    attention_bytes_per_s: float
    layer_s: float
    disk_bytes_per_s: float | None
    prefill_flops: float
    basis: Basis


def distinct_experts(experts: int, used: int, batch: int) -> float:
    """Return how many different experts `batch` tokens hit, if the router spreads evenly."""
    if not experts:
        return 0.0
    return experts * (1.0 - (1.0 - used / experts) ** batch)


def decode_s(
    plan: Plan, shape: ModelShape, speed: MachineSpeed, context_tokens: int, batch: int = 1
) -> float | None:
    """Return the seconds of one step that gives `batch` sequences a token each.

    context_tokens: of each sequence. None where a tier's speed is not known.
    """
    share = distinct_experts(shape.experts, shape.experts_used, batch) / max(1, shape.experts)
    filled = min(1.0, batch * context_tokens / max(1, plan.context_tokens))
    total, gpu_number = 0.0, 0
    for device in plan.devices:
        if device.kind == "disk":
            touched = _touched_weights(device, shape, share)
            if touched and speed.disk_bytes_per_s is None:
                return None
            total += touched / speed.disk_bytes_per_s if speed.disk_bytes_per_s else 0.0
            continue
        cache = device.parts.kv_cache * filled
        weights = _touched_weights(device, shape, share)
        if device.kind == "gpu":
            if gpu_number >= len(speed.gpus):
                if device.layers:
                    return None
                continue
            gpu = speed.gpus[gpu_number]
            gpu_number += 1
            total += (weights + cache) / gpu.memory_bytes_per_s + device.layers * gpu.layer_s
        else:
            total += weights / speed.weight_bytes_per_s
            total += cache / speed.attention_bytes_per_s
            total += max(device.layers, device.expert_layers) * speed.layer_s
    return total


def _touched_weights(device: DevicePlan, shape: ModelShape, share: float) -> float:
    """Return the bytes of weights one step reads on a device: the table gives a row a token."""
    parts = device.parts
    table = 0 if device.kind == "gpu" else min(shape.input_bytes, parts.dense)
    if shape.is_tied and device.layers == len(shape.layers):
        table = 0  # the table is the output matrix too
    return parts.attention + parts.shared_experts + parts.dense - table + parts.experts * share


def prefill_tokens_per_s(
    plan: Plan, shape: ModelShape, speed: MachineSpeed, batch_tokens: int = 512
) -> float | None:
    """Return how fast a long prompt is read."""
    work = 2.0 * shape.active_parameters * batch_tokens
    weights = sum(device.parts.weights for device in plan.devices) or 1
    total, gpu_number, on_gpu = 0.0, 0, 0.0
    for device in plan.devices:
        if device.kind == "gpu" and device.layers:
            if gpu_number >= len(speed.gpus):
                return None
            gpu = speed.gpus[gpu_number]
            total += work * device.layers / max(1, len(shape.layers)) / gpu.flops
            on_gpu += device.layers
        gpu_number += device.kind == "gpu"
    in_ram = sum(d.parts.weights for d in plan.devices if d.kind != "gpu")
    away = sum(d.parts.experts for d in plan.devices if d.kind == "disk")
    if on_gpu:
        total += max(0, in_ram - shape.input_bytes) / speed.gpus[0].pcie_bytes_per_s
    else:
        total += work * in_ram / weights / speed.prefill_flops
    if away:
        if not speed.disk_bytes_per_s:
            return None
        total += away / speed.disk_bytes_per_s
    return batch_tokens / total if total else None


def with_speed(plan: Plan, shape: ModelShape, speed: MachineSpeed | None) -> Plan:
    """Return the plan with what it will run at, where that can be said."""
    if speed is None or plan.verdict == "no":
        return plan
    seconds = decode_s(plan, shape, speed, min(TYPICAL_TOKENS, plan.context_tokens // 2))
    prefill = prefill_tokens_per_s(plan, shape, speed)
    return msgspec.structs.replace(
        plan,
        decode_tokens_per_s=round(1 / seconds, 2) if seconds else None,
        prefill_tokens_per_s=round(prefill, 1) if prefill else None,
        basis=speed.basis,
    )
