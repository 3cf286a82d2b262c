"""How fast a plan runs: bytes touched per token and tier, over what the tiers reach.

Decode reads every dense weight, the experts at work, and the cache of the context once per
token, and every node of the graph costs a little besides. Prefill is arithmetic, and the experts
in RAM cross the bus once per batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from freehold.machine.plan.cpu_speed import CpuSpeed
from freehold.machine.plan.shape import ModelShape
from freehold.wire_machine import Basis, DevicePlan, Plan, RealRuns, SpeedCurve

# The context for which a speed is given where nobody says otherwise.
TYPICAL_TOKENS: Final = 2048
BATCH_TOKENS: Final = 512
# Nodes of llama.cpp's graph where it could not be asked: about these, per layer.
DENSE_NODES: Final = 31
EXPERT_NODES: Final = 80


@dataclass(frozen=True, slots=True)
class GpuSpeed:
    """What a GPU reaches."""

    memory_bytes_per_s: float
    flops: float
    pcie_bytes_per_s: float
    layer_s: float


@dataclass(frozen=True, slots=True)
class MachineSpeed:
    """What a machine's parts reach. disk_bytes_per_s: None where it is not known."""

    gpus: tuple[GpuSpeed, ...]
    cpu: CpuSpeed
    disk_bytes_per_s: float | None
    basis: Basis


@dataclass(frozen=True, slots=True)
class Shares:
    """What part of a model the processor computes, by kind; the rest is on GPUs."""

    nodes: float
    dense: float
    experts: float
    cache: float
    output: float


def distinct_experts(experts: int, used: int, batch: int) -> float:
    """Return how many different experts `batch` tokens hit, if the router spreads evenly."""
    if not experts:
        return 0.0
    return experts * (1.0 - (1.0 - used / experts) ** batch)


def decode_s(
    plan: Plan,
    shape: ModelShape,
    speed: MachineSpeed,
    context_tokens: int,
    batch: int = 1,
    nodes: int | None = None,
) -> float | None:
    """Return the seconds of one step that gives `batch` sequences a token each.

    context_tokens: of each sequence. nodes: of llama.cpp's graph, None for an estimate.
    None where a tier's speed is not known.
    """
    hit = distinct_experts(shape.experts, shape.experts_used, batch) / max(1, shape.experts)
    further = batch * shape.experts_used / max(1, shape.experts) - hit
    filled = min(1.0, batch * context_tokens / max(1, plan.context_tokens))
    total = speed.cpu.step_s
    gpus = iter(speed.gpus)
    for device in plan.devices:
        if device.kind == "disk":
            touched = _touched_weights(device, shape, hit)
            if touched and speed.disk_bytes_per_s is None:
                return None
            total += touched / speed.disk_bytes_per_s if speed.disk_bytes_per_s else 0.0
        elif device.kind == "gpu":
            gpu = next(gpus, None)
            if gpu is None:
                if device.layers:
                    return None
                continue
            read = _touched_weights(device, shape, hit) + device.parts.kv_cache * filled
            total += read / gpu.memory_bytes_per_s + device.layers * gpu.layer_s
    cpu, work, part = speed.cpu, shape.work, shares(plan, shape)
    away = part.nodes * len(shape.expert_layers)
    total += cpu.nodes_s(part.nodes * (nodes or count_nodes(shape)), batch, shape.width, away)
    total += part.dense * cpu.layers_s(work, batch)
    total += part.output * cpu.output_s(work, batch)
    total += part.experts * cpu.experts_s(work, hit, further)
    held = sum(d.parts.kv_cache for d in plan.devices if d.kind != "gpu") * filled
    pairs = batch * context_tokens
    return total + part.cache * cpu.attention_s(work, pairs, of_prompt=False, cache_bytes=held)


def shares(plan: Plan, shape: ModelShape) -> Shares:
    """Return what of a plan the processor computes; what lies on the disk is computed there too."""
    gpus = [device for device in plan.devices if device.kind == "gpu"]
    layers = len(shape.layers) or 1
    on_gpu = sum(device.layers for device in gpus)
    experts = sum(device.expert_layers for device in gpus)
    away = 1 - on_gpu / layers
    expert_share = 1 - experts / len(shape.expert_layers) if shape.expert_layers else 0.0
    return Shares(
        # An expert layer off the GPU is about a third of its layer's nodes.
        nodes=max(away, expert_share / 3),
        dense=away,
        experts=expert_share,
        cache=away,
        output=0.0 if on_gpu == layers else 1.0,
    )


def count_nodes(shape: ModelShape) -> int:
    """Return about how many nodes llama.cpp's graph of a step has."""
    return 6 + sum(EXPERT_NODES if row.expert_bytes else DENSE_NODES for row in shape.layers)


def _touched_weights(device: DevicePlan, shape: ModelShape, share: float) -> float:
    """Return the bytes of weights one step reads on a device: the table gives a row a token."""
    parts = device.parts
    table = 0 if device.kind == "gpu" else min(shape.input_bytes, parts.dense)
    if shape.is_tied and device.layers == len(shape.layers):
        table = 0  # the table is the output matrix too
    return parts.attention + parts.shared_experts + parts.dense - table + parts.experts * share


def prefill_s(
    plan: Plan,
    shape: ModelShape,
    speed: MachineSpeed,
    prompt_tokens: int = BATCH_TOKENS,
    nodes: int | None = None,
) -> float | None:
    """Return the seconds a prompt takes that starts an empty context."""
    batches = -(-prompt_tokens // BATCH_TOKENS)
    tokens = min(prompt_tokens, BATCH_TOKENS)
    once = _batch_s(plan, shape, speed, tokens, nodes)
    if once is None:
        return None
    pairs = prompt_tokens * (prompt_tokens + 1) / 2
    part = shares(plan, shape)
    attention = part.cache * speed.cpu.attention_s(shape.work, pairs, of_prompt=True)
    output = part.output * speed.cpu.output_s(shape.work, 1)
    return batches * once + attention + output


def _batch_s(
    plan: Plan, shape: ModelShape, speed: MachineSpeed, tokens: int, nodes: int | None
) -> float | None:
    """Return the seconds of a prompt's batch, without attention."""
    work = 2.0 * shape.active_parameters * tokens
    total, on_gpu = 0.0, 0
    gpus = iter(speed.gpus)
    for device in plan.devices:
        if device.kind != "gpu":
            continue
        gpu = next(gpus, None)
        if gpu is not None:
            total += work * device.layers / max(1, len(shape.layers)) / gpu.flops
        elif device.layers:
            return None
        on_gpu += device.layers
    away = sum(d.parts.experts for d in plan.devices if d.kind == "disk")
    if away:
        if not speed.disk_bytes_per_s:
            return None
        total += away / speed.disk_bytes_per_s
    if on_gpu:
        in_ram = sum(d.parts.weights for d in plan.devices if d.kind != "gpu")
        return total + max(0, in_ram - shape.input_bytes) / speed.gpus[0].pcie_bytes_per_s
    cpu = speed.cpu
    hit = distinct_experts(shape.experts, shape.experts_used, tokens) / max(1, shape.experts)
    further = tokens * shape.experts_used / max(1, shape.experts) - hit
    routed = len(shape.expert_layers)
    total += cpu.nodes_s(nodes or count_nodes(shape), tokens, shape.width, routed)
    total += cpu.layers_s(shape.work, tokens)
    return total + cpu.experts_s(shape.work, hit, further)


def with_speed(
    plan: Plan, shape: ModelShape, speed: MachineSpeed | None, nodes: int | None = None
) -> Plan:
    """Return the plan with what it will run at, where that can be said."""
    if speed is None or plan.verdict == "no":
        return plan
    curve = predict(plan, shape, speed, nodes)
    if curve is None:
        return plan
    return at_typical_length(msgspec.structs.replace(plan, basis=speed.basis, curve=curve))


def predict(
    plan: Plan, shape: ModelShape, speed: MachineSpeed, nodes: int | None = None
) -> SpeedCurve | None:
    """Return how a plan's speed depends on the context; None where a tier's is not known."""
    most = max(1, plan.context_tokens)
    empty, full = (decode_s(plan, shape, speed, n, nodes=nodes) for n in (0, most))
    short, long = (prefill_s(plan, shape, speed, n * BATCH_TOKENS, nodes) for n in (1, 2))
    if empty is None or full is None or short is None or long is None:
        return None
    # A prompt's seconds are even and square in its length; two lengths give both.
    square = (long - 2 * short) / BATCH_TOKENS**2
    return SpeedCurve(
        token_s=empty,
        token_context_s=(full - empty) / most,
        prompt_s=short / BATCH_TOKENS - square * BATCH_TOKENS / 2,
        prompt_context_s=max(0.0, square),
    )


def at_typical_length(plan: Plan) -> Plan:
    """Return the plan with the speeds that its curve has at a context people use."""
    curve = plan.curve
    if curve is None:
        return plan
    context = min(TYPICAL_TOKENS, plan.context_tokens // 2)
    prompt = min(BATCH_TOKENS, plan.context_tokens)
    decode, prefill = curve.decode_s(context), curve.prefill_s(prompt)
    return msgspec.structs.replace(
        plan,
        decode_tokens_per_s=round(1 / decode, 2) if decode else None,
        prefill_tokens_per_s=round(prompt / prefill, 1) if prefill else None,
    )


def corrected(plan: Plan, real: RealRuns | None) -> Plan:
    """Return the plan with its speeds corrected by what it really ran at."""
    curve = plan.curve
    if real is None or curve is None:
        return plan
    by = real.correction
    scaled = SpeedCurve(
        token_s=curve.token_s * by,
        token_context_s=curve.token_context_s * by,
        prompt_s=curve.prompt_s,
        prompt_context_s=curve.prompt_context_s,
    )
    found = at_typical_length(msgspec.structs.replace(plan, curve=scaled))
    return msgspec.structs.replace(found, real=real, basis="measured")
