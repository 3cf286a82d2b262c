"""The bundled embedder through the real engine, against the float32 original's vectors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from freehold.engine.process import ProcessEngine
from freehold.engine.requests import LoadOptions
from freehold.paths import resources

pytestmark = pytest.mark.engine

DATA = Path(__file__).parents[1] / "data" / "embedder"
MODEL = resources() / "models" / "all-MiniLM-L6-v2-Q8_0.gguf"
# What `packaging/embedder` promises for the shipped file.
LEAST_COSINE = 0.995


async def test_vectors_are_those_of_the_original() -> None:
    texts = json.loads((DATA / "sentences.json").read_text(encoding="utf-8"))["texts"]
    reference = np.load(DATA / "reference.npy")
    assert reference.shape == (len(texts), 384) == (200, 384)
    engine = ProcessEngine()
    info = await engine.load(LoadOptions(path=str(MODEL), embeddings=True))
    try:
        assert (info.architecture, info.embedding_size) == ("bert", 384)
        embedded = await engine.embed(tuple(texts))
    finally:
        await engine.close()
    vectors = np.frombuffer(b"".join(embedded.vectors), dtype="<f4").reshape(-1, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    cosines = (vectors * reference).sum(axis=1) / np.linalg.norm(reference, axis=1)
    assert cosines.min() >= LEAST_COSINE, f"text {cosines.argmin()}: {texts[cosines.argmin()]!r}"
    # The figures tell texts apart: another text's vector is no match.
    others = (np.roll(vectors, 1, axis=0) * reference).sum(axis=1)
    assert np.median(others) < 0.5
