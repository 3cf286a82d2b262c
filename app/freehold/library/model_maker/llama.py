"""A dense `llama` with Qwen's special tokens: ChatML template and fill-in-the-middle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from freehold.gguf.ggml_types import Q8_0, GgmlType
from freehold.gguf.writer import MetadataValue, TensorData
from freehold.library.model_maker.tensors import TensorMaker
from freehold.library.model_maker.vocabulary import QWEN_SPECIALS, Vocabulary, build_vocabulary

CHATML: Final = (
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)


@dataclass(frozen=True, slots=True)
class LlamaShape:
    """Sizes of one dense model."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    dense_width: int
    context_tokens: int
    kind: GgmlType = Q8_0

    @property
    def head_width(self) -> int:
        return self.width // self.heads


SHAPES: Final = {
    "tiny": LlamaShape(3, 128, 4, 2, 256, 32768),
    "small": LlamaShape(12, 768, 12, 4, 2048, 32768),
    "1b": LlamaShape(24, 2048, 16, 4, 5632, 131072),
}


def metadata(shape: LlamaShape, arch: str, context_tokens: int) -> dict[str, MetadataValue]:
    """Return the `llama.*` keys, written under the name `arch`."""
    keys: dict[str, MetadataValue] = {
        "block_count": shape.layers,
        "context_length": context_tokens,
        "embedding_length": shape.width,
        "feed_forward_length": shape.dense_width,
        "attention.head_count": shape.heads,
        "attention.head_count_kv": shape.kv_heads,
        "attention.layer_norm_rms_epsilon": 1e-6,
        "rope.dimension_count": shape.head_width,
        "rope.freq_base": 1000000.0,
    }
    return {f"{arch}.{key}": value for key, value in keys.items()}


def vocabulary() -> Vocabulary:
    """Return a small vocabulary with Qwen's special tokens."""
    return build_vocabulary(QWEN_SPECIALS)


def tokenizer_metadata(words: Vocabulary) -> dict[str, MetadataValue]:
    """Return the `tokenizer.*` keys but for the template."""
    return words.metadata("qwen2") | {
        "tokenizer.ggml.bos_token_id": words.id("<|endoftext|>"),
        "tokenizer.ggml.eos_token_id": words.id("<|im_end|>"),
        "tokenizer.ggml.padding_token_id": words.id("<|endoftext|>"),
        "tokenizer.ggml.fim_pre_token_id": words.id("<|fim_prefix|>"),
        "tokenizer.ggml.fim_mid_token_id": words.id("<|fim_middle|>"),
        "tokenizer.ggml.fim_suf_token_id": words.id("<|fim_suffix|>"),
        "tokenizer.ggml.fim_pad_token_id": words.id("<|fim_pad|>"),
        "tokenizer.ggml.add_bos_token": False,
    }


def tensors(
    shape: LlamaShape, words: Vocabulary, make: TensorMaker, answer_tokens: int | None = None
) -> Iterator[TensorData]:
    """Yield every tensor under llama.cpp's names."""
    kind = shape.kind
    width, inner, kv = shape.width, shape.dense_width, shape.kv_heads * shape.head_width
    yield make.matrix("token_embd.weight", Q8_0, width, len(words), spread=1.0)
    for layer in range(shape.layers):
        at = f"blk.{layer}."
        yield make.ones(f"{at}attn_norm.weight", width)
        yield make.matrix(f"{at}attn_q.weight", kind, width, width, gain=4.0)
        yield make.matrix(f"{at}attn_k.weight", kind, width, kv)
        yield make.matrix(f"{at}attn_v.weight", kind, width, kv)
        yield make.matrix(f"{at}attn_output.weight", kind, width, width, gain=2.0)
        yield make.ones(f"{at}ffn_norm.weight", width)
        yield make.matrix(f"{at}ffn_gate.weight", kind, width, inner)
        yield make.matrix(f"{at}ffn_up.weight", kind, width, inner)
        yield make.matrix(f"{at}ffn_down.weight", kind, inner, width)
    yield make.ones("output_norm.weight", width)
    yield make.matrix(
        "output.weight",
        Q8_0,
        width,
        len(words),
        gain=3.0,
        row_gain=words.output_gain("<|im_end|>", answer_tokens),
    )
