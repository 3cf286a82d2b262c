"""Models of random weights that show, one by one, what a machine's parts of a step cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from freehold.gguf.ggml_types import Q4_K, Q6_K, Q8_0, GgmlType
from freehold.gguf.writer import MetadataValue, TensorData, write_gguf
from freehold.library.model_maker import kimi, llama
from freehold.library.model_maker.tensors import TensorMaker

# Larger than most processors' caches, so that weights come from memory.
DENSE: Final = llama.LlamaShape(2, 2048, 16, 4, 5632, 8192)
KINDS: Final[Mapping[str, GgmlType]] = {
    "q8_0": Q8_0,
    "q4_k": Q4_K,
    "q6_k": Q6_K,
}
HEADS: Final = llama.LlamaShape(4, 512, 8, 4, 512, 8192)
FEW_NODES: Final = replace(kimi.TINY, context_tokens=8192)
MANY_NODES: Final = replace(FEW_NODES, layers=12)
LATENT: Final = replace(
    FEW_NODES, layers=3, width=128, heads=6, q_rank=64, kv_rank=512, rope=64, value=64, nope=64
)
EXPERTS: Final = replace(
    kimi.SMALL, layers=2, width=1024, expert_width=256, dense_width=1024, context_tokens=8192
)
NAMES: Final = ("few_nodes", "many_nodes", *KINDS, "experts", "heads", "latent")


def write_gauge(name: str, path: Path) -> int:
    """Write one of `NAMES`; return the file's size in bytes.

    Raises: KeyError for another name; OSError from the disk.
    """
    make = TensorMaker(1)
    metadata: dict[str, MetadataValue] = {
        "general.type": "model",
        "general.name": f"Freehold's gauge: {name}",
        "general.quantization_version": 2,
        "general.alignment": 32,
    }
    latent = {
        "few_nodes": FEW_NODES,
        "many_nodes": MANY_NODES,
        "experts": EXPERTS,
        "latent": LATENT,
    }
    tensors: list[TensorData]
    if name in latent:
        shape, words = latent[name], kimi.vocabulary()
        metadata |= {"general.architecture": "deepseek2"}
        metadata |= kimi.metadata(shape, "deepseek2", shape.context_tokens)
        metadata |= kimi.tokenizer_metadata(words)
        tensors = list(kimi.tensors(shape, words, make))
    else:
        dense = HEADS if name == "heads" else replace(DENSE, kind=KINDS[name])
        words = llama.vocabulary()
        metadata |= {"general.architecture": "llama"}
        metadata |= llama.metadata(dense, "llama", dense.context_tokens)
        metadata |= llama.tokenizer_metadata(words)
        tensors = list(llama.tensors(dense, words, make))
    return write_gguf(path, metadata, tensors)
