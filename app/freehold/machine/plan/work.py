"""What a model has to compute for a token: weights by type, and rows of attention."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field

from freehold.gguf.description import part_of
from freehold.gguf.header import TensorInfo

Bytes = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Work:
    """Bytes of weights by type: of the layers, of the routed experts, and of the output.

    head_rows: dot products over the cache for each token in it: heads, all layers together.
    head_values: the values those read: heads times the size of a key and a value, or of the key
    alone where the value is part of it (`is_latent`).
    """

    layers: Bytes = field(default_factory=dict)
    experts: Bytes = field(default_factory=dict)
    output: Bytes = field(default_factory=dict)
    head_rows: int = 0
    head_values: int = 0
    is_latent: bool = False


def weigh_work(
    tensors: Iterable[TensorInfo],
    heads: Iterable[tuple[int, int]],
    unused: Container[int],
    *,
    is_tied: bool,
    is_latent: bool,
) -> Work:
    """Return the work of a model.

    heads: (heads, values that each reads for a token) of each layer. unused: layers that are
    not loaded.
    """
    layers: dict[str, int] = {}
    experts: dict[str, int] = {}
    output: dict[str, int] = {}
    for tensor in tensors:
        layer, part = part_of(tensor.name)
        if layer is not None and layer in unused:
            continue
        if part == "experts":
            target = experts
        elif layer is not None:
            target = layers
        elif tensor.name.startswith("output") or (is_tied and tensor.name == "token_embd.weight"):
            target = output
        else:
            continue  # a table gives a row a token
        target[tensor.kind.name] = target.get(tensor.kind.name, 0) + tensor.bytes
    rows = list(heads)
    return Work(
        layers,
        experts,
        output,
        head_rows=sum(count for count, _ in rows),
        head_values=sum(count * values for count, values in rows),
        is_latent=is_latent,
    )
