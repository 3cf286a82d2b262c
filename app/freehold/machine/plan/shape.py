"""A model as the planner sees it: what each layer weighs and what a token leaves in its cache."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from freehold.gguf.description import ModelFacts, describe
from freehold.gguf.header import GgufHeader
from freehold.gguf.shards import ModelFile
from freehold.machine.plan.kv import KvShape
from freehold.machine.plan.work import Work, weigh_work
from freehold.wire_machine import Parts

DEFAULT_TRAINED_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: what every token needs, the routed experts, and its KV row."""

    base: Parts
    expert_bytes: int
    kv: KvShape


@dataclass(frozen=True)
class ModelShape:
    """A model by layer.

    input_bytes: embedding tables, which always lie in RAM. output_bytes: the last matrix and
    norm; with tied embeddings it is the table again where it is not in RAM. mtp_layers, mtp_bytes:
    layers that guess tokens ahead; the engine does not load them, so they are none of `layers`.
    """

    name: str
    architecture: str
    layers: tuple[Layer, ...]
    input_bytes: int
    output_bytes: int
    is_tied: bool
    trained_tokens: int
    experts: int
    experts_used: int
    width: int
    vocabulary: int
    parameters: int
    active_parameters: int
    file_bytes: int
    is_embedder: bool = False
    work: Work = field(default_factory=Work)
    mtp_layers: int = 0
    mtp_bytes: int = 0

    @cached_property
    def expert_layers(self) -> tuple[int, ...]:
        """Return the layers that have routed experts."""
        return tuple(n for n, layer in enumerate(self.layers) if layer.expert_bytes)

    @cached_property
    def expert_bytes(self) -> int:
        return sum(layer.expert_bytes for layer in self.layers)

    @cached_property
    def weight_bytes(self) -> int:
        """Return the bytes of all weights, each once."""
        base = sum(layer.base.total for layer in self.layers)
        tied = 0 if self.is_tied else self.output_bytes
        return base + self.expert_bytes + self.input_bytes + tied


def read_shape(model: ModelFile) -> ModelShape:
    """Return the shape of a model that was read.

    Raises: AppError `invalid_model` for what is no language model.
    """
    facts, header = describe(model), model.header
    kv_shapes = _kv_shapes(facts, header)
    count = _layer_count(facts)
    ahead = min(header.whole(f"{facts.architecture}.nextn_predict_layers") or 0, count - 1)
    mtp = range(count - max(0, ahead), count)
    layers = tuple(
        Layer(
            base=_base(facts, number),
            expert_bytes=facts.layer_bytes.get(number, {}).get("experts", 0),
            kv=kv_shapes[number],
        )
        for number in range(mtp.start)
    )
    by_name = {tensor.name: tensor.bytes for tensor in model.all_tensors()}
    outside = sum(facts.layer_bytes.get(None, {}).values())
    is_tied = "output.weight" not in by_name and facts.kind == "chat"
    output = sum(size for name, size in by_name.items() if name.startswith("output"))
    table = by_name.get("token_embd.weight", 0)
    return ModelShape(
        name=facts.name or model.paths[0].stem,
        architecture=facts.architecture,
        layers=layers,
        input_bytes=outside - (0 if is_tied else output),
        output_bytes=table + output if is_tied else output,
        is_tied=is_tied,
        trained_tokens=_longest_context(facts, header),
        experts=facts.experts,
        experts_used=facts.experts_used,
        width=facts.embedding_size,
        vocabulary=facts.tokenizer.tokens,
        parameters=facts.parameters,
        active_parameters=facts.active_parameters,
        file_bytes=facts.file_bytes,
        is_embedder=facts.kind == "embedding",
        work=weigh_work(
            model.all_tensors(),
            _heads(facts, header)[: mtp.start],
            mtp,
            is_tied=is_tied,
            is_latent=_is_latent(facts, header),
        ),
        mtp_layers=len(mtp),
        mtp_bytes=sum(sum(facts.layer_bytes.get(n, {}).values()) for n in mtp),
    )


def _longest_context(facts: ModelFacts, header: GgufHeader) -> int:
    """Return the context it was trained for, or that its own rope scaling stretches to."""
    prefix = f"{facts.architecture}.rope.scaling."
    factor = header.metadata.get(f"{prefix}factor")
    original = header.whole(f"{prefix}original_context_length") or 0
    stretched = int(factor * original) if isinstance(factor, float) and factor < 1e6 else 0
    return max(facts.context_tokens or DEFAULT_TRAINED_TOKENS, stretched)


def _layer_count(facts: ModelFacts) -> int:
    highest = max((n for n in facts.layer_bytes if n is not None), default=-1)
    return max(facts.layers, highest + 1)


def _base(facts: ModelFacts, number: int) -> Parts:
    row = facts.layer_bytes.get(number, {})
    return Parts(
        attention=row.get("attention", 0),
        shared_experts=row.get("shared_experts", 0),
        dense=row.get("feed_forward", 0) + row.get("other", 0) + row.get("embeddings", 0),
    )


def _kv_shapes(facts: ModelFacts, header: GgufHeader) -> tuple[KvShape, ...]:
    """Return each layer's KV rows, as llama.cpp derives them from the metadata."""
    prefix = f"{facts.architecture}.attention."
    heads = _per_layer(header, f"{prefix}head_count", facts, 1)
    kv_heads = _per_layer(header, f"{prefix}head_count_kv", facts, None)
    is_latent = _is_latent(facts, header)
    shapes = []
    for number in range(_layer_count(facts)):
        own = facts.embedding_size // max(1, heads[number] or 1)
        key = header.whole(f"{prefix}key_length") or own
        value = header.whole(f"{prefix}value_length") or own
        count = kv_heads[number]
        count = (heads[number] or 0) if count is None else count
        shapes.append(KvShape(key * count, 0 if is_latent else value * count))
    return tuple(shapes)


def _heads(facts: ModelFacts, header: GgufHeader) -> list[tuple[int, int]]:
    """Return each layer's heads, and the values that a head reads of the cache for a token."""
    prefix = f"{facts.architecture}.attention."
    found = []
    for heads in _per_layer(header, f"{prefix}head_count", facts, 1):
        count = max(1, heads or 1)
        own = facts.embedding_size // count
        key = header.whole(f"{prefix}key_length") or own
        value = 0 if _is_latent(facts, header) else header.whole(f"{prefix}value_length") or own
        found.append((count, key + value))
    return found


def _is_latent(facts: ModelFacts, header: GgufHeader) -> bool:
    """Return whether values are part of the keys: multi-head latent attention."""
    return header.whole(f"{facts.architecture}.attention.key_length_mla") is not None


def _per_layer(
    header: GgufHeader, key: str, facts: ModelFacts, default: int | None
) -> list[int | None]:
    """Return a number that the file gives once or for each layer."""
    value = header.metadata.get(key)
    count = _layer_count(facts)
    if isinstance(value, tuple):
        numbers = [item if isinstance(item, int) else None for item in value]
        return [*numbers, *[default] * count][:count]
    return [value if isinstance(value, int) else default] * count
