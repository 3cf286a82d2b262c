"""Headers of models far larger than this disk: true shapes, sparse files, no weights.

path = kimi_k2(folder, "Q4_K_M")     # 579 GiB that take some MB
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from freehold.gguf.ggml_types import BY_NUMBER, F32, Q6_K, Q8_0, GgmlType
from freehold.gguf.writer import MetadataValue, TensorData, encode_header
from freehold.library.model_maker import kimi
from freehold.library.model_maker.kimi import KimiShape
from freehold.library.model_maker.vocabulary import Vocabulary

BY_NAME = {kind.name: kind for kind in BY_NUMBER.values()}
BF16, MXFP4 = BY_NAME["BF16"], BY_NAME["MXFP4"]

K2 = KimiShape(
    layers=61, width=7168, heads=64, q_rank=1536, kv_rank=512, rope=64, nope=128, value=128,
    expert_width=2048, dense_width=18432, context_tokens=131_072,
    expert_kind=Q6_K, expert_down_kind=Q6_K, dense_kind=Q8_0, output_kind=Q6_K, file_type=15,
)  # fmt: skip
K2_VOCABULARY = 163_840
# gate and up, down: what brings the file to its published size
K2_KINDS = {
    "UD-TQ1_0": ("IQ1_M", "IQ2_XXS"),
    "UD-Q2_K_XL": ("Q2_K", "Q3_K"),
    "Q4_K_M": ("Q4_K", "Q5_K"),
}
K3_KINDS = {"UD-IQ1_S": ("IQ1_S", "IQ2_XXS"), "Q4": ("MXFP4", "MXFP4")}
K3_EXPERTS = 896


@dataclass(frozen=True)
class _Sizer:
    """Makes tensors that have a size and no bytes; stands in for `TensorMaker`."""

    experts: int = kimi.EXPERTS

    def matrix(
        self, name: str, kind: GgmlType, columns: int, *rows: int, **_: object
    ) -> TensorData:
        if name.endswith("_exps.weight"):
            rows = (*rows[:-1], self.experts)
        if "ffn_gate_inp" in name:
            rows = (self.experts,)
        return sized(name, kind, columns, *rows)

    def vector(self, name: str, size: int, **_: object) -> TensorData:
        return sized(name, F32, self.experts if "exp_probs" in name else size)

    def ones(self, name: str, size: int) -> TensorData:
        return sized(name, F32, size)


def sized(name: str, kind: GgmlType, *shape: int) -> TensorData:
    """Return a tensor without bytes."""
    return TensorData(name, kind, shape, lambda: iter(()))


def kimi_k2(folder: Path, quant: str) -> Path:
    """Write Kimi K2's header at one of its published sizes."""
    gate, down = K2_KINDS[quant]
    shape = replace(K2, expert_kind=BY_NAME[gate], expert_down_kind=BY_NAME[down])
    return _kimi(folder / f"Kimi-K2-Instruct-{quant}.gguf", shape, kimi.EXPERTS, 8)


def kimi_k3(folder: Path, quant: str) -> Path:
    """Write a header of K3's published size: 896 experts, 16 at work; the rest is K2's shape."""
    gate, down = K3_KINDS[quant]
    shape = replace(K2, layers=70, expert_kind=BY_NAME[gate], expert_down_kind=BY_NAME[down])
    return _kimi(folder / f"Kimi-K3-{quant}.gguf", shape, K3_EXPERTS, 16)


def _kimi(path: Path, shape: KimiShape, experts: int, used: int) -> Path:
    words = kimi.vocabulary()
    more = (f"<|extra_{n}|>" for n in range(K2_VOCABULARY - len(words)))
    words = Vocabulary((*words.tokens, *more), words.merges, words.specials, words.spoken)
    metadata: dict[str, MetadataValue] = {
        "general.architecture": "deepseek2",
        "general.type": "model",
        "general.name": path.stem,
        "general.alignment": 32,
        **kimi.metadata(shape, "deepseek2", shape.context_tokens),
        "deepseek2.expert_count": experts,
        "deepseek2.expert_used_count": used,
        **kimi.tokenizer_metadata(words),
    }
    tensors = list(kimi.tensors(shape, words, _Sizer(experts)))  # type: ignore[arg-type]
    return write_header(path, metadata, tensors)


def gpt_oss_120b(folder: Path) -> Path:
    """Write gpt-oss-120b's header: 36 layers, 128 experts in MXFP4, 4 at work."""
    path = folder / "gpt-oss-120b-MXFP4.gguf"
    words = kimi.vocabulary()
    more = (f"<|extra_{n}|>" for n in range(201_088 - len(words)))
    words = Vocabulary((*words.tokens, *more), words.merges, words.specials, words.spoken)
    metadata: dict[str, MetadataValue] = {
        "general.architecture": "gpt-oss",
        "general.type": "model",
        "general.name": "gpt-oss-120b",
        "general.alignment": 32,
        "gpt-oss.block_count": 36,
        "gpt-oss.context_length": 131_072,
        "gpt-oss.embedding_length": 2880,
        "gpt-oss.feed_forward_length": 2880,
        "gpt-oss.expert_feed_forward_length": 2880,
        "gpt-oss.attention.head_count": 64,
        "gpt-oss.attention.head_count_kv": 8,
        "gpt-oss.attention.key_length": 64,
        "gpt-oss.attention.value_length": 64,
        "gpt-oss.attention.layer_norm_rms_epsilon": 1e-5,
        "gpt-oss.attention.sliding_window": 128,
        "gpt-oss.expert_count": 128,
        "gpt-oss.expert_used_count": 4,
        "gpt-oss.rope.freq_base": 150_000.0,
        **kimi.tokenizer_metadata(words),
    }
    return write_header(path, metadata, list(_gpt_oss_tensors(len(words))))


def _gpt_oss_tensors(words: int) -> Iterator[TensorData]:
    width, experts = 2880, 128
    yield sized("token_embd.weight", BF16, width, words)
    for layer in range(36):
        at = f"blk.{layer}."
        yield sized(f"{at}attn_norm.weight", F32, width)
        yield sized(f"{at}post_attention_norm.weight", F32, width)
        for name, rows in (("q", 4096), ("k", 512), ("v", 512)):
            yield sized(f"{at}attn_{name}.weight", BF16, width, rows)
            yield sized(f"{at}attn_{name}.bias", F32, rows)
        yield sized(f"{at}attn_output.weight", BF16, 4096, width)
        yield sized(f"{at}attn_output.bias", F32, width)
        yield sized(f"{at}attn_sinks.weight", F32, 64)
        yield sized(f"{at}ffn_gate_inp.weight", F32, width, experts)
        yield sized(f"{at}ffn_gate_inp.bias", F32, experts)
        for name in ("gate", "up", "down"):
            yield sized(f"{at}ffn_{name}_exps.weight", MXFP4, width, width, experts)
            yield sized(f"{at}ffn_{name}_exps.bias", F32, width, experts)
    yield sized("output_norm.weight", F32, width)
    yield sized("output.weight", BF16, width, words)


def write_header(path: Path, metadata: dict[str, MetadataValue], tensors: list[TensorData]) -> Path:
    """Write a header, and of the tensors only their room."""
    head = encode_header(metadata, tensors)
    room = sum(-(-tensor.bytes // 32) * 32 for tensor in tensors)
    with path.open("wb") as file:
        file.write(head)
        file.truncate(-(-len(head) // 32) * 32 + room)
    return path
