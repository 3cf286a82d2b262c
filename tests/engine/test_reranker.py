"""A model that ranks, through the real engine: one score a pair, whatever stands beside it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from doubles.reranker import EMBEDDER, make_reranker
from freehold.documents.reranking import read_score, rerank
from freehold.engine.process import ProcessEngine
from freehold.engine.requests import LoadOptions
from freehold.server.document_models import does_rank

pytestmark = pytest.mark.engine

QUESTION = "How much is the yearly rent?"
TEXTS = ["The yearly rent is 4,250 euros.", "Gardens need rain.", "A pipe of copper. " * 12]


async def test_pairs_get_scores_that_do_not_depend_on_the_batch(tmp_path: Path) -> None:
    path = make_reranker(tmp_path / "ranker.gguf")
    assert does_rank(path)
    assert not does_rank(EMBEDDER)
    assert not does_rank(tmp_path / "none.gguf")
    engine = ProcessEngine()
    info = await engine.load(LoadOptions(path=str(path), embeddings=True))
    lease: Any = SimpleNamespace(ref="ranker", engine=engine, info=info)
    try:
        order = await rerank(lease, QUESTION, TEXTS)
        assert sorted(order) == [0, 1, 2]
        # The order does not follow from the places.
        turned = await rerank(lease, QUESTION, TEXTS[::-1])
        assert [2 - place for place in turned] == order
        together = await engine.embed(("one pair", "another pair of words"))
        alone = await engine.embed(("another pair of words",))
    finally:
        await engine.close()
    assert [len(vector) for vector in together.vectors] == [4, 4]
    scores = [read_score(vector) for vector in together.vectors]
    assert scores[0] != scores[1]
    assert scores[1] == pytest.approx(read_score(alone.vectors[0]), abs=2e-2)
