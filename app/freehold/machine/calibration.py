"""What was measured of a machine, and how speeds follow from it: pure arithmetic.

Each gauge is a small model that shows one thing: how long a node of the graph takes, a byte of a
matrix of each type, a row of routed experts, a dot product over the cache. What the others
explain is taken off a gauge's time, and the rest is what it shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from freehold.machine.gauge import Reading
from freehold.machine.plan.cpu_speed import AttentionSpeed, CpuSpeed
from freehold.machine.plan.shape import ModelShape
from freehold.machine.plan.speed import GpuSpeed, distinct_experts
from freehold.wire_machine import CalibrationInfo, GpuCalibration

# The gauges of matrices, and the type each of them shows.
KINDS: Final = {"q8_0": "Q8_0", "q4_k": "Q4_K", "q6_k": "Q6_K"}
SHOWN: Final = "Q8_0"
ROUNDS: Final = 4  # of fitting: each part is found with the others as they were
# A part that the others leave nothing of is not free: it is lost in the noise.
LEAST_SHARE: Final = 0.02
LEAST_CACHED: Final = 0.3


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured, and when.

    machine: what it belongs to, so that another machine with the same home does not take it.
    load: other programs' load average while it was measured. gpus: speeds by driver's UUID.
    """

    machine: str
    taken_at: float
    cpu: CpuSpeed
    ram_bytes_per_s: float
    disk_bytes_per_s: float | None
    gpus: dict[str, GpuSpeed] = {}
    load: float = 0.0


def to_info(found: Calibration) -> CalibrationInfo:
    """Return what people are shown of a measurement."""
    return CalibrationInfo(
        taken_at=found.taken_at,
        ram_bytes_per_s=found.ram_bytes_per_s,
        weight_bytes_per_s=1 / found.cpu.weight_s[SHOWN],
        matrix_flops=2 / found.cpu.mac_s[SHOWN],
        disk_bytes_per_s=found.disk_bytes_per_s,
        load=found.load,
        gpus=tuple(
            GpuCalibration(
                uuid=uuid,
                memory_bytes_per_s=gpu.memory_bytes_per_s,
                flops=gpu.flops,
                pcie_bytes_per_s=gpu.pcie_bytes_per_s,
            )
            for uuid, gpu in found.gpus.items()
        ),
    )


@dataclass(frozen=True, slots=True)
class Gauged:
    """A gauge: the model's shape, the nodes of its graph, and the runs, shortest context first."""

    shape: ModelShape
    nodes: int
    runs: tuple[Reading, ...]


def fit_cpu(gauged: Mapping[str, Gauged], cache_bytes: int) -> CpuSpeed:
    """Return the speed that explains all gauges: `few_nodes`, `many_nodes`, those of `KINDS`,
    `experts`, `heads` and `latent`.

    cache_bytes: of the processor's last cache.
    Raises: KeyError where a gauge is missing.
    """
    few, many = gauged["few_nodes"], gauged["many_nodes"]
    guess = (many.runs[0].decode_s - few.runs[0].decode_s) / (many.nodes - few.nodes)
    rates = dict.fromkeys(KINDS.values(), 0.0)
    speed = CpuSpeed(node_s=max(guess, 1e-9), weight_s=rates, mac_s=rates, cache_bytes=cache_bytes)
    speed = _with_attention(speed, gauged)
    for _ in range(ROUNDS):
        speed = _with_nodes(speed, few, many)
        speed = _with_tokens(speed, few, gauged["heads"])
        for name, kind in KINDS.items():
            speed = _with_kind(speed, gauged[name], kind)
        speed = _with_cache(speed, gauged["heads"])
        speed = _with_experts(speed, gauged["experts"])
    return speed


def explain_decode(speed: CpuSpeed, gauge: Gauged, run: Reading) -> float:
    """Return the seconds a step of a gauge should take."""
    shape, batch = gauge.shape, run.streams
    hit = _hit(shape, batch)
    further = batch * shape.experts_used / max(1, shape.experts) - hit
    return (
        speed.step_s
        + speed.nodes_s(gauge.nodes, batch, shape.width, len(shape.expert_layers))
        + speed.layers_s(shape.work, batch)
        + speed.experts_s(shape.work, hit, further)
        + speed.output_s(shape.work, batch)
        + speed.attention_s(shape.work, batch * run.context_tokens, of_prompt=False)
    )


def explain_prompt(speed: CpuSpeed, gauge: Gauged, run: Reading, batch_tokens: int = 512) -> float:
    """Return the seconds a gauge's prompt should take."""
    shape = gauge.shape
    tokens = min(run.prompt_tokens, batch_tokens)
    batches = run.prompt_tokens / tokens
    hit = _hit(shape, tokens)
    further = tokens * shape.experts_used / max(1, shape.experts) - hit
    once = (
        speed.nodes_s(gauge.nodes, tokens, shape.width, len(shape.expert_layers))
        + speed.layers_s(shape.work, tokens)
        + speed.experts_s(shape.work, hit, further)
    )
    pairs = run.prompt_tokens * (run.prompt_tokens + 1) / 2
    attention = speed.attention_s(shape.work, pairs, of_prompt=True)
    return batches * once + attention + speed.output_s(shape.work, 1)


def _hit(shape: ModelShape, tokens: int) -> float:
    return distinct_experts(shape.experts, shape.experts_used, tokens) / max(1, shape.experts)


def _with_attention(speed: CpuSpeed, gauged: Mapping[str, Gauged]) -> CpuSpeed:
    """Return the speed with what attention costs: by what a longer context adds to gauges."""
    heads, small, large = gauged["heads"], gauged["few_nodes"], gauged["latent"]
    per_value = 1 / max(1, heads.shape.work.head_values)
    plain = AttentionSpeed(
        value_s=_answer_pair_s(heads) * per_value, prompt_value_s=_prompt_pair_s(heads) * per_value
    )
    row_s, value_s = _two_parts(small, large, _answer_pair_s(small), _answer_pair_s(large))
    prompt_row_s, prompt_value_s = _two_parts(
        small, large, _prompt_pair_s(small), _prompt_pair_s(large)
    )
    latent = AttentionSpeed(row_s, value_s, prompt_row_s, prompt_value_s)
    return replace(speed, plain=plain, latent=latent)


def _answer_pair_s(gauge: Gauged) -> float:
    """Return what a token more of context adds to a step."""
    short, long = gauge.runs[-2:]
    added = long.decode_s - short.decode_s
    return max(0.0, added) / (long.context_tokens - short.context_tokens)


def _prompt_pair_s(gauge: Gauged) -> float:
    """Return what a token that looks at another one costs in a prompt."""
    short, long = gauge.runs[-2:]
    times = long.prompt_tokens / short.prompt_tokens
    pairs = (long.prompt_tokens**2 - times * short.prompt_tokens**2) / 2
    return max(0.0, long.prefill_s - times * short.prefill_s) / pairs


def _two_parts(small: Gauged, large: Gauged, one: float, two: float) -> tuple[float, float]:
    """Return what a dot product costs at all, and what each of its values costs.

    Two equations; where noise makes one part negative, the other explains the larger gauge.
    """
    a, b = small.shape.work, large.shape.work
    determinant = a.head_rows * b.head_values - b.head_rows * a.head_values
    if determinant:
        row_s = (one * b.head_values - two * a.head_values) / determinant
        value_s = (a.head_rows * two - b.head_rows * one) / determinant
        if row_s >= 0 and value_s >= 0:
            return row_s, value_s
    if two / max(1, b.head_values) * a.head_values >= one:
        return 0.0, two / max(1, b.head_values)
    return two / max(1, b.head_rows), 0.0


def _with_cache(speed: CpuSpeed, gauge: Gauged) -> CpuSpeed:
    """Return the speed with what weights cost that stay in the processor's cache."""
    run, work = gauge.runs[0], gauge.shape.work
    plain = replace(speed, cached_factor=1.0)
    expected = plain.layers_s(work, 1) + plain.output_s(work, 1)
    left = run.decode_s - (explain_decode(plain, gauge, run) - expected)
    return replace(speed, cached_factor=min(1.0, max(left / expected, LEAST_CACHED)))


def _with_nodes(speed: CpuSpeed, few: Gauged, many: Gauged) -> CpuSpeed:
    bare = replace(speed, step_s=0.0, node_s=0.0)
    short, long = few.runs[0], many.runs[0]
    short_s = short.decode_s - explain_decode(bare, few, short)
    long_s = long.decode_s - explain_decode(bare, many, long)
    node_s = max(long_s - short_s, LEAST_SHARE * long.decode_s) / (many.nodes - few.nodes)
    return replace(speed, node_s=node_s, step_s=max(0.0, short_s - few.nodes * node_s))


def _with_tokens(speed: CpuSpeed, routed: Gauged, wide: Gauged) -> CpuSpeed:
    """Return the speed with what a prompt's tokens cost besides matrices and attention."""
    run = wide.runs[-2]
    left = run.prefill_s - explain_prompt(replace(speed, token_value_s=0.0), wide, run)
    values = wide.nodes * (run.prompt_tokens - 1) * wide.shape.width
    found = replace(speed, token_value_s=max(0.0, left) / values)
    run = routed.runs[-2]
    left = run.prefill_s - explain_prompt(replace(found, router_s=0.0), routed, run)
    choices = max(1, len(routed.shape.expert_layers)) * (run.prompt_tokens - 1)
    return replace(found, router_s=max(0.0, left) / choices)


def _with_kind(speed: CpuSpeed, gauge: Gauged, kind: str) -> CpuSpeed:
    run, work = gauge.runs[0], gauge.shape.work
    size = work.layers.get(kind, 0)
    without = replace(speed, weight_s={**speed.weight_s, kind: 0.0})
    left = run.decode_s - explain_decode(without, gauge, run)
    weight_s = max(left, LEAST_SHARE * run.decode_s) / size
    speed = replace(speed, weight_s={**speed.weight_s, kind: weight_s})
    without = replace(speed, mac_s={**speed.mac_s, kind: 0.0})
    left = run.prefill_s - explain_prompt(without, gauge, run)
    weights = without.weights(kind, size) * (run.prompt_tokens - 1)
    mac_s = max(left, LEAST_SHARE * run.prefill_s) / weights
    return replace(speed, mac_s={**speed.mac_s, kind: mac_s})


def _with_experts(speed: CpuSpeed, gauge: Gauged) -> CpuSpeed:
    run, shape = gauge.runs[0], gauge.shape
    plain = replace(speed, expert_weight_factor=1.0, expert_mac_factor=1.0)
    none = replace(plain, expert_weight_factor=0.0, expert_mac_factor=0.0)
    expected = plain.experts_s(shape.work, _hit(shape, 1), 0.0)
    left = run.decode_s - explain_decode(none, gauge, run)
    factor = max(left / expected, 0.1)
    found = replace(none, expert_weight_factor=factor)
    left = run.prefill_s - explain_prompt(found, gauge, run)
    tokens = run.prompt_tokens
    further = tokens * shape.experts_used / shape.experts - _hit(shape, tokens)
    expected = replace(plain, expert_weight_factor=0.0).experts_s(shape.work, 0.0, further)
    return replace(found, expert_mac_factor=max(left / expected, 0.1))


def fit_gpu(few: Gauged, many: Gauged, matrix: Gauged, upload_bytes_per_s: float) -> GpuSpeed:
    """Return what a GPU reaches, from the gauges of nodes and of one kind of matrix."""
    layers = len(many.shape.layers) - len(few.shape.layers)
    step = few.runs[0].decode_s
    layer_s = max(many.runs[0].decode_s - step, 1e-9) / layers
    run, shape = matrix.runs[0], matrix.shape
    touched = sum(shape.work.layers.values()) + sum(shape.work.output.values())
    read_s = run.decode_s - len(shape.layers) * layer_s
    work = 2.0 * shape.active_parameters * run.prompt_tokens
    return GpuSpeed(
        memory_bytes_per_s=touched / max(read_s, LEAST_SHARE * run.decode_s),
        flops=work / run.prefill_s,
        pcie_bytes_per_s=upload_bytes_per_s,
        layer_s=layer_s,
    )
