"""A placement as llama.cpp is told it."""

from __future__ import annotations

from typing import Final

from freehold.machine.plan.budgets import Machine
from freehold.machine.plan.placement import Assignment
from freehold.machine.plan.question import Question
from freehold.machine.plan.shape import ModelShape
from freehold.wire import LoadRequest

EXPERT_TENSORS: Final = "ffn_(up|down|gate|gate_up)_(ch|)exps"
LAYERS_PER_PATTERN: Final = 60  # llama.cpp's regular expressions are kept short


def to_load_request(
    shape: ModelShape, machine: Machine, question: Question, found: Assignment
) -> LoadRequest:
    """Return the load options that put everything where the plan has it."""
    offloaded = found.offloaded
    counts = [found.layer_gpu.count(index) for index in range(len(machine.gpus))]
    last = found.layer_gpu[-1]
    if last is not None:  # llama.cpp counts layers that it does not load, before the output
        counts[last] += shape.mtp_layers
        offloaded += shape.mtp_layers
    away = [
        layer
        for layer in shape.expert_layers
        if layer not in found.expert_gpu and found.layer_gpu[layer] is not None
    ]
    devices = tuple(gpu.engine_device or gpu.name for gpu in machine.gpus)
    return LoadRequest(
        context_tokens=question.context_tokens,
        parallel=question.parallel,
        kv_type_k=question.kv_type,
        kv_type_v=question.kv_type,
        devices=devices if offloaded else (),
        gpu_layers=offloaded,
        split_mode=question.split_mode,
        tensor_split=tuple(float(count) for count in counts) if len(counts) > 1 else (),
        cpu_expert_layers=0,
        overrides=tuple((pattern, "CPU") for pattern in expert_patterns(away)),
        # Weights are copied into the form the CPU computes fastest with, so mapping the file
        # would hold them twice; what RAM has no room for must stay mapped and uncopied.
        memory="mmap" if found.uses_disk else "read",
        repack=not found.uses_disk,
    )


def expert_patterns(layers: list[int]) -> tuple[str, ...]:
    """Return regular expressions that match the routed experts of layers and nothing else."""
    return tuple(
        rf"blk\.({'|'.join(map(str, layers[start : start + LAYERS_PER_PATTERN]))})\."
        rf"{EXPERT_TENSORS}"
        for start in range(0, len(layers), LAYERS_PER_PATTERN)
    )
