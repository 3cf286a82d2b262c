"""Kimi K2's architecture: `deepseek2` with multi-head latent attention and 384 experts.

The true shape, for comparison: 61 layers, width 7168, 64 heads, q rank 1536, kv rank 512, rope 64,
nope 128, value 128, experts of width 2048. Expert count, experts per token, shared expert,
gating, leading dense layer and weight scale are as in K2 at every size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from freehold.gguf.ggml_types import F32, Q4_0, Q4_K, Q6_K, Q8_0, GgmlType
from freehold.gguf.writer import MetadataValue, TensorData
from freehold.library.model_maker.tensors import TensorMaker
from freehold.library.model_maker.vocabulary import KIMI_SPECIALS, Vocabulary, build_vocabulary

EXPERTS: Final = 384
EXPERTS_USED: Final = 8
EXPERT_WEIGHTS_SCALE: Final = 2.827
SIGMOID: Final = 2
YARN_FACTOR: Final = 32


@dataclass(frozen=True, slots=True)
class KimiShape:
    """Sizes of one Kimi-like model; attention sizes are per head."""

    layers: int
    width: int
    heads: int
    q_rank: int
    kv_rank: int
    rope: int
    nope: int
    value: int
    expert_width: int
    dense_width: int
    context_tokens: int
    expert_kind: GgmlType
    expert_down_kind: GgmlType
    dense_kind: GgmlType
    output_kind: GgmlType
    file_type: int


TINY: Final = KimiShape(
    layers=3, width=64, heads=4, q_rank=32, kv_rank=32, rope=32, nope=32, value=32,
    expert_width=32, dense_width=128, context_tokens=32768,
    expert_kind=Q4_0, expert_down_kind=Q4_0, dense_kind=Q8_0, output_kind=Q8_0, file_type=2,
)  # fmt: skip
SMALL: Final = KimiShape(
    layers=4, width=256, heads=4, q_rank=128, kv_rank=128, rope=32, nope=32, value=32,
    expert_width=256, dense_width=512, context_tokens=32768,
    expert_kind=Q4_K, expert_down_kind=Q4_K, dense_kind=Q8_0, output_kind=Q6_K, file_type=15,
)  # fmt: skip
# Attention per head as in K2 (576-wide keys), so that the GPU's own paths for it are taken.
ONE_BILLION: Final = KimiShape(
    layers=7, width=512, heads=16, q_rank=512, kv_rank=512, rope=64, nope=128, value=128,
    expert_width=256, dense_width=2048, context_tokens=131072,
    expert_kind=Q4_K, expert_down_kind=Q6_K, dense_kind=Q8_0, output_kind=Q6_K, file_type=15,
)  # fmt: skip

SHAPES: Final = {"tiny": TINY, "small": SMALL, "1b": ONE_BILLION}


def metadata(shape: KimiShape, arch: str, context_tokens: int) -> dict[str, MetadataValue]:
    """Return the `deepseek2.*` keys, written under the name `arch`."""
    keys: dict[str, MetadataValue] = {
        "block_count": shape.layers,
        "context_length": context_tokens,
        "embedding_length": shape.width,
        "feed_forward_length": shape.dense_width,
        "leading_dense_block_count": 1,
        "attention.head_count": shape.heads,
        "attention.head_count_kv": 1,
        "attention.layer_norm_rms_epsilon": 1e-6,
        "attention.q_lora_rank": shape.q_rank,
        "attention.kv_lora_rank": shape.kv_rank,
        "attention.key_length": shape.kv_rank + shape.rope,
        "attention.value_length": shape.kv_rank,
        "attention.key_length_mla": shape.nope + shape.rope,
        "attention.value_length_mla": shape.value,
        "expert_count": EXPERTS,
        "expert_used_count": EXPERTS_USED,
        "expert_shared_count": 1,
        "expert_feed_forward_length": shape.expert_width,
        "expert_gating_func": SIGMOID,
        "expert_weights_norm": True,
        "expert_weights_scale": EXPERT_WEIGHTS_SCALE,
        "rope.dimension_count": shape.rope,
        "rope.freq_base": 50000.0,
        "rope.scaling.type": "yarn",
        "rope.scaling.factor": float(YARN_FACTOR),
        "rope.scaling.original_context_length": max(1, context_tokens // YARN_FACTOR),
        "rope.scaling.yarn_beta_fast": 1.0,
        "rope.scaling.yarn_beta_slow": 1.0,
        "rope.scaling.yarn_log_multiplier": 0.1,
    }
    return {f"{arch}.{key}": value for key, value in keys.items()}


def vocabulary() -> Vocabulary:
    """Return a small vocabulary with Kimi's special tokens."""
    return build_vocabulary(KIMI_SPECIALS)


def tokenizer_metadata(words: Vocabulary) -> dict[str, MetadataValue]:
    """Return the `tokenizer.*` keys but for the template."""
    return words.metadata("kimi-k2") | {
        "tokenizer.ggml.bos_token_id": words.id("[BOS]"),
        "tokenizer.ggml.eos_token_id": words.id("<|im_end|>"),
        "tokenizer.ggml.unknown_token_id": words.id("[UNK]"),
        "tokenizer.ggml.padding_token_id": words.id("[PAD]"),
        "tokenizer.ggml.add_bos_token": False,
    }


def tensors(
    shape: KimiShape, words: Vocabulary, make: TensorMaker, answer_tokens: int | None = None
) -> Iterator[TensorData]:
    """Yield every tensor under llama.cpp's names."""
    yield make.matrix("token_embd.weight", shape.output_kind, shape.width, len(words), spread=1.0)
    for layer in range(shape.layers):
        yield from _attention(shape, make, f"blk.{layer}.")
        if layer == 0:
            yield from _dense(shape, make, f"blk.{layer}.")
        else:
            yield from _experts(shape, make, f"blk.{layer}.")
    yield make.ones("output_norm.weight", shape.width)
    yield make.matrix(
        "output.weight", shape.output_kind, shape.width, len(words),
        gain=3.0, row_gain=words.output_gain("<|im_end|>", answer_tokens),
    )  # fmt: skip


def _attention(shape: KimiShape, make: TensorMaker, at: str) -> Iterator[TensorData]:
    kind, key = shape.dense_kind, shape.nope + shape.rope
    yield make.ones(f"{at}attn_norm.weight", shape.width)
    yield make.matrix(f"{at}attn_q_a.weight", kind, shape.width, shape.q_rank)
    yield make.ones(f"{at}attn_q_a_norm.weight", shape.q_rank)
    # Loud queries make attention pick single tokens: without it random answers soon repeat.
    yield make.matrix(f"{at}attn_q_b.weight", kind, shape.q_rank, shape.heads * key, gain=4.0)
    yield make.matrix(f"{at}attn_kv_a_mqa.weight", kind, shape.width, shape.kv_rank + shape.rope)
    yield make.ones(f"{at}attn_kv_a_norm.weight", shape.kv_rank)
    yield make.matrix(f"{at}attn_k_b.weight", kind, shape.nope, shape.kv_rank, shape.heads)
    yield make.matrix(f"{at}attn_v_b.weight", kind, shape.kv_rank, shape.value, shape.heads)
    values = shape.heads * shape.value
    yield make.matrix(f"{at}attn_output.weight", kind, values, shape.width, gain=2.0)
    yield make.ones(f"{at}ffn_norm.weight", shape.width)


def _dense(shape: KimiShape, make: TensorMaker, at: str) -> Iterator[TensorData]:
    width, inner, kind = shape.width, shape.dense_width, shape.dense_kind
    yield make.matrix(f"{at}ffn_gate.weight", kind, width, inner)
    yield make.matrix(f"{at}ffn_up.weight", kind, width, inner)
    yield make.matrix(f"{at}ffn_down.weight", kind, inner, width)


def _experts(shape: KimiShape, make: TensorMaker, at: str) -> Iterator[TensorData]:
    width, inner, kind = shape.width, shape.expert_width, shape.expert_kind
    yield make.matrix(f"{at}ffn_gate_inp.weight", F32, width, EXPERTS)
    yield make.vector(f"{at}exp_probs_b.bias", EXPERTS, spread=0.02)
    yield make.matrix(f"{at}ffn_gate_exps.weight", kind, width, inner, EXPERTS)
    yield make.matrix(f"{at}ffn_up_exps.weight", kind, width, inner, EXPERTS)
    yield make.matrix(f"{at}ffn_down_exps.weight", shape.expert_down_kind, inner, width, EXPERTS)
    yield make.matrix(f"{at}ffn_gate_shexp.weight", shape.dense_kind, width, inner)
    yield make.matrix(f"{at}ffn_up_shexp.weight", shape.dense_kind, width, inner)
    yield make.matrix(f"{at}ffn_down_shexp.weight", shape.dense_kind, inner, width)


def parameters(shape: KimiShape, words: Vocabulary, make: TensorMaker) -> int:
    """Return how many weights `tensors` writes."""
    return sum(int(np.prod(tensor.shape)) for tensor in tensors(shape, words, make))
