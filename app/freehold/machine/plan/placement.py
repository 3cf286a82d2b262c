"""Which layer and which experts go where.

Attention and KV cache first on the GPUs, contiguous layers per GPU as llama.cpp lays them out;
then routed experts, layer by layer, as far as there is room; what is left in RAM; and what RAM
cannot hold is read from the disk through mmap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from freehold.machine.plan.budgets import Machine
from freehold.machine.plan.cutting import ExpertCuts, cut_by_shares, cut_evenly
from freehold.machine.plan.shape import ModelShape


@dataclass(frozen=True, slots=True)
class Pins:
    """What a person decided: layers on the GPUs, layers whose experts stay in RAM, shares."""

    gpu_layers: int | None = None
    cpu_expert_layers: int | None = None
    tensor_split: tuple[float, ...] = ()

    @property
    def any(self) -> bool:
        return (
            self.gpu_layers is not None
            or self.cpu_expert_layers is not None
            or bool(self.tensor_split)
        )


@dataclass(frozen=True, slots=True)
class Assignment:
    """Where everything is.

    layer_gpu: per layer, the index of its GPU or None for RAM; the last entry is the output.
    expert_gpu: the layers whose experts lie on their layer's GPU.
    experts_on_disk, layers_on_disk, table_bytes_on_disk: what RAM has no room for; the table
        is that of the input, which is read row by row.
    fits: False if a GPU or the RAM would have to hold more than it has.
    """

    layer_gpu: tuple[int | None, ...]
    expert_gpu: frozenset[int]
    experts_on_disk: frozenset[int]
    layers_on_disk: frozenset[int]
    table_bytes_on_disk: int
    fits: bool

    @property
    def offloaded(self) -> int:
        """Return llama.cpp's `n_gpu_layers`: layers on GPUs, and the output."""
        return sum(gpu is not None for gpu in self.layer_gpu)

    @property
    def uses_disk(self) -> bool:
        return bool(self.experts_on_disk or self.layers_on_disk or self.table_bytes_on_disk)


@dataclass(frozen=True, slots=True)
class Costs:
    """Bytes each item takes: base (weights every token needs, and KV) and experts, by layer.

    The last item is the output. kv: the part of base that is cache.
    """

    base: tuple[int, ...]
    experts: tuple[int, ...]
    kv: tuple[int, ...]


def weigh(shape: ModelShape, kv: Sequence[int]) -> Costs:
    """Return the costs of a model whose layers' caches take `kv` bytes each."""
    base = tuple(layer.base.total + cache for layer, cache in zip(shape.layers, kv, strict=True))
    experts = tuple(layer.expert_bytes for layer in shape.layers)
    return Costs((*base, shape.output_bytes), (*experts, 0), (*kv, 0))


def assign(shape: ModelShape, costs: Costs, machine: Machine, pins: Pins) -> Assignment:
    """Return the best placement there is, or the one that pins demand.

    Most layers on GPUs, then most experts; if that leaves RAM too little room, most bytes.
    """
    rooms = [max(0, gpu.room) for gpu in machine.gpus]
    if not any(rooms):
        return _fill(shape, costs, machine, (None,) * len(costs.base), frozenset())
    if pins.any:
        layer_gpu = _pinned_layers(costs, rooms, pins)
        return _fill(shape, costs, machine, layer_gpu, _experts(costs, rooms, layer_gpu, pins))
    together = [base + extra for base, extra in zip(costs.base, costs.experts, strict=True)]
    whole = cut_evenly(together, rooms, 0)
    if whole is not None:
        held = frozenset(shape.expert_layers)
        return _fill(shape, costs, machine, whole, held)
    if not shape.expert_layers:
        return _fill(shape, costs, machine, _most_layers(costs, rooms), frozenset())
    cuts = ExpertCuts(costs.base, costs.experts, rooms)
    first = _first_possible(cuts, len(costs.base))
    best = _cut_with_experts(shape, costs, machine, cuts, first)
    if best.uses_disk or not best.fits:
        other = _fullest(costs, cuts)
        if other != first:
            fuller = _cut_with_experts(shape, costs, machine, cuts, other)
            best = min(best, fuller, key=lambda found: (not found.fits, found.uses_disk))
    return best


def _first_possible(cuts: ExpertCuts, count: int) -> int:
    return next((n for n in range(count) if cuts.value(n) is not None), count)


def _fullest(costs: Costs, cuts: ExpertCuts) -> int:
    """Return the first item with which the GPUs hold most bytes."""
    count = len(costs.base)
    held = {
        first: value + sum(costs.base[first:])
        for first in range(count + 1)
        if (value := cuts.value(first)) is not None
    }
    return max(held, key=lambda first: held[first])


def _cut_with_experts(
    shape: ModelShape, costs: Costs, machine: Machine, cuts: ExpertCuts, first: int
) -> Assignment:
    rooms = [max(0, gpu.room) for gpu in machine.gpus]
    layer_gpu: tuple[int | None, ...] = (None,) * first + cuts.cut(first)
    return _fill(shape, costs, machine, layer_gpu, _experts(costs, rooms, layer_gpu, Pins()))


def _most_layers(costs: Costs, rooms: Sequence[int]) -> tuple[int | None, ...]:
    """Return each item's GPU: as many items from the end as fit."""
    count = len(costs.base)
    for first in range(count):
        cut = cut_evenly(costs.base, rooms, first)
        if cut is not None:
            return (None,) * first + cut
    return (None,) * count


def _pinned_layers(costs: Costs, rooms: Sequence[int], pins: Pins) -> tuple[int | None, ...]:
    """Return each item's GPU as a person decided, whether or not that fits."""
    count = len(costs.base)
    if pins.gpu_layers is None:
        offloaded = sum(gpu is not None for gpu in _most_layers(costs, rooms))
    else:
        offloaded = min(pins.gpu_layers, count)
    first = count - offloaded
    if not offloaded:
        return (None,) * count
    shares = pins.tensor_split
    cut = None if shares else cut_evenly(costs.base, rooms, first)
    return (None,) * first + (cut or cut_by_shares(offloaded, shares or rooms, len(rooms)))


def _experts(
    costs: Costs, rooms: Sequence[int], layer_gpu: Sequence[int | None], pins: Pins
) -> frozenset[int]:
    """Return the layers whose experts lie on their layer's GPU: the smallest, then the last.

    So the first ones stay in RAM, as with llama.cpp's own `--n-cpu-moe`.
    """
    left = list(rooms)
    for item, gpu in enumerate(layer_gpu):
        if gpu is not None:
            left[gpu] -= costs.base[item]
    chosen = set()
    order = sorted(range(len(costs.experts)), key=lambda n: (costs.experts[n], -n))
    for layer in order:
        size, gpu = costs.experts[layer], layer_gpu[layer]
        if not size or gpu is None:
            continue
        if pins.cpu_expert_layers is not None:
            if layer >= pins.cpu_expert_layers:
                chosen.add(layer)
        elif size <= left[gpu]:
            chosen.add(layer)
            left[gpu] -= size
    return frozenset(chosen)


def _fill(
    shape: ModelShape,
    costs: Costs,
    machine: Machine,
    layer_gpu: tuple[int | None, ...],
    expert_gpu: frozenset[int],
) -> Assignment:
    """Put the rest into RAM, and on the disk what RAM has no room for: experts first."""
    used = [0] * len(machine.gpus)
    for item, gpu in enumerate(layer_gpu):
        if gpu is not None:
            used[gpu] += costs.base[item] + (costs.experts[item] if item in expert_gpu else 0)
    fits = all(
        not taken or taken <= gpu.room for taken, gpu in zip(used, machine.gpus, strict=True)
    )
    in_ram = [item for item, gpu in enumerate(layer_gpu) if gpu is None]
    weights = {item: costs.base[item] - costs.kv[item] for item in in_ram}
    if shape.is_tied and layer_gpu[-1] is None:
        weights[len(layer_gpu) - 1] = 0  # the table is there already
    experts = [n for n in shape.expert_layers if n not in expert_gpu]
    # A cache is written, so it cannot stay on the disk as weights can.
    room = machine.ram.room - sum(costs.kv[item] for item in in_ram)
    over = shape.input_bytes + sum(weights.values()) + sum(costs.experts[n] for n in experts) - room
    experts_out, over = _move_out(experts, costs.experts, over)
    layers_out, over = _move_out(in_ram, weights, over)
    fits = fits and room >= 0 and over <= shape.input_bytes
    table_out = min(max(0, over), shape.input_bytes)
    return Assignment(layer_gpu, expert_gpu, experts_out, layers_out, table_out, fits)


def _move_out(
    layers: Sequence[int], sizes: Sequence[int] | dict[int, int], over: int
) -> tuple[frozenset[int], int]:
    """Return the layers that leave, the last ones first, and what is still too much."""
    out = set()
    for layer in reversed(layers):
        if over <= 0:
            break
        if sizes[layer]:
            out.add(layer)
            over -= sizes[layer]
    return frozenset(out), over
