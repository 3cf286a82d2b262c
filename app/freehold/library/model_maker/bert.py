"""A BERT with mean pooling, to make embeddings with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from freehold.gguf.ggml_types import F32, Q8_0
from freehold.gguf.writer import I32List, MetadataValue, TensorData
from freehold.library.model_maker.tensors import TensorMaker
from freehold.library.model_maker.vocabulary import CONTROL, NORMAL, WORDS, Vocabulary

MEAN_POOLING: Final = 1
SPECIALS: Final = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@dataclass(frozen=True, slots=True)
class BertShape:
    """Sizes of one encoder."""

    layers: int
    width: int
    heads: int
    dense_width: int
    context_tokens: int


SHAPES: Final = {
    "tiny": BertShape(2, 128, 4, 256, 512),
    "small": BertShape(6, 384, 12, 1536, 512),
    "1b": BertShape(24, 1792, 28, 7168, 512),
}


def metadata(shape: BertShape, arch: str, context_tokens: int) -> dict[str, MetadataValue]:
    """Return the `bert.*` keys, written under the name `arch`."""
    keys: dict[str, MetadataValue] = {
        "block_count": shape.layers,
        "context_length": context_tokens,
        "embedding_length": shape.width,
        "feed_forward_length": shape.dense_width,
        "attention.head_count": shape.heads,
        "attention.layer_norm_epsilon": 1e-12,
        "attention.causal": False,
        "pooling_type": MEAN_POOLING,
    }
    return {f"{arch}.{key}": value for key, value in keys.items()}


def vocabulary() -> Vocabulary:
    """Return letters and words for the WordPiece tokenizer; `▁` marks the start of a word."""
    letters = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
    words = [word.lower() for word in WORDS]
    pieces = dict.fromkeys([*(f"▁{word}" for word in [*letters, *words]), *letters, *words])
    return Vocabulary(tokens=(*SPECIALS, *pieces), merges=(), specials=SPECIALS, spoken=frozenset())


def tokenizer_metadata(words: Vocabulary) -> dict[str, MetadataValue]:
    """Return the `tokenizer.*` keys."""
    kinds = [CONTROL if token in SPECIALS else NORMAL for token in words.tokens]
    return {
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.pre": "jina-v2-en",
        "tokenizer.ggml.tokens": list(words.tokens),
        "tokenizer.ggml.token_type": I32List(kinds),
        "tokenizer.ggml.token_type_count": 2,
        "tokenizer.ggml.padding_token_id": words.id("[PAD]"),
        "tokenizer.ggml.unknown_token_id": words.id("[UNK]"),
        "tokenizer.ggml.cls_token_id": words.id("[CLS]"),
        "tokenizer.ggml.bos_token_id": words.id("[CLS]"),
        "tokenizer.ggml.seperator_token_id": words.id("[SEP]"),
        "tokenizer.ggml.mask_token_id": words.id("[MASK]"),
    }


def tensors(
    shape: BertShape, words: Vocabulary, make: TensorMaker, context_tokens: int
) -> Iterator[TensorData]:
    """Yield every tensor under llama.cpp's names."""
    width, inner = shape.width, shape.dense_width
    yield make.matrix("token_embd.weight", Q8_0, width, len(words), spread=1.0)
    yield make.matrix("token_types.weight", F32, width, 2, spread=0.1)
    yield make.matrix("position_embd.weight", F32, width, context_tokens, spread=0.3)
    yield from _norm(make, "token_embd_norm", width)
    for layer in range(shape.layers):
        at = f"blk.{layer}."
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            yield make.matrix(f"{at}{name}.weight", Q8_0, width, width)
            yield make.vector(f"{at}{name}.bias", width)
        yield from _norm(make, f"{at}attn_output_norm", width)
        yield make.matrix(f"{at}ffn_up.weight", Q8_0, width, inner)
        yield make.vector(f"{at}ffn_up.bias", inner)
        yield make.matrix(f"{at}ffn_down.weight", Q8_0, inner, width)
        yield make.vector(f"{at}ffn_down.bias", width)
        yield from _norm(make, f"{at}layer_output_norm", width)


def _norm(make: TensorMaker, name: str, width: int) -> Iterator[TensorData]:
    yield make.ones(f"{name}.weight", width)
    yield make.vector(f"{name}.bias", width)
