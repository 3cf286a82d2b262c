"""The embedder in NumPy, float32: the reference that llama.cpp's vectors are compared with."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
from convert import read_safetensors
from sentences import sentences
from tokenizers import Tokenizer

MAX_TOKENS = 512
_erf = np.vectorize(math.erf, otypes=[np.float32])


def layer_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Normalise the last axis. Shapes: x [tokens, 384], weight and bias [384]."""
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-12) * weight + bias


def gelu(x: np.ndarray) -> np.ndarray:
    """Apply the exact (erf) GELU."""
    return 0.5 * x * (1 + _erf(x / math.sqrt(2)))


def embed(weights: dict[str, np.ndarray], tokens: list[int]) -> np.ndarray:
    """Return the normalised vector [384] of one token sequence."""

    def dense(x: np.ndarray, name: str) -> np.ndarray:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        return layer_norm(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    x = weights["embeddings.word_embeddings.weight"][tokens]
    x = x + weights["embeddings.position_embeddings.weight"][: len(tokens)]
    x = norm(x + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for number in range(6):
        layer = f"encoder.layer.{number}"
        q, k, v = (
            dense(x, f"{layer}.attention.self.{part}").reshape(len(tokens), 12, 32).swapaxes(0, 1)
            for part in ("query", "key", "value")
        )
        scores = q @ k.swapaxes(1, 2) / math.sqrt(32)
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
        mixed = (scores @ v).swapaxes(0, 1).reshape(len(tokens), 384)
        x = norm(
            x + dense(mixed, f"{layer}.attention.output.dense"),
            f"{layer}.attention.output.LayerNorm",
        )
        inner = gelu(dense(x, f"{layer}.intermediate.dense"))
        x = norm(x + dense(inner, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
    pooled = x.mean(0)
    return pooled / np.linalg.norm(pooled)


def write_reference(checkpoint: Path, out: Path) -> None:
    """Write sentences.json and reference.npy into `out`."""
    weights = read_safetensors(checkpoint / "model.safetensors")
    tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    texts = sentences()
    tokens = [tokenizer.encode(text).ids for text in texts]
    vectors = np.stack([embed(weights, ids) for ids in tokens]).astype(np.float32)
    (out / "sentences.json").write_text(
        json.dumps({"texts": texts, "tokens": [len(ids) for ids in tokens]}, ensure_ascii=False),
        encoding="utf-8",
    )
    np.save(out / "reference.npy", vectors)
    print(f"{len(texts)} texts, {min(map(len, tokens))} to {max(map(len, tokens))} tokens")
