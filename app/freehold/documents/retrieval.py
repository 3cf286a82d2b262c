"""Which passages answer a question: words and vectors, fused by their ranks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from freehold.documents import index
from freehold.documents.index import StoredPassage, Vectors
from freehold.documents.passages import estimate_tokens
from freehold.documents.vectors import VectorCache

RANK_CONSTANT: Final = 60
CANDIDATES: Final = 50
WANTED: Final = 8
# So many of the best passages bring the ones beside them.
WITH_NEIGHBOURS: Final = 3


def fuse(rankings: Iterable[Sequence[int]], *, constant: int = RANK_CONSTANT) -> list[int]:
    """Return what any ranking holds, best first by reciprocal rank fusion."""
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, item in enumerate(ranking, start=1):
            scores[item] = scores.get(item, 0.0) + 1.0 / (constant + rank)
    return sorted(scores, key=lambda item: (-scores[item], item))


def search(
    connection: Any,
    document_ids: Sequence[str],
    question: str,
    *,
    query_vector: Vectors | None = None,
    embedder: str = "",
    limit: int = WANTED,
    cache: VectorCache | None = None,
) -> list[int]:
    """Return the best passages for a question, best first; without a vector by words alone."""
    rankings = [index.search_words(connection, document_ids, question, CANDIDATES)]
    if query_vector is not None:
        table = (cache or VectorCache()).table(connection, document_ids, embedder)
        rankings.append(table.nearest(query_vector, CANDIDATES))
    return fuse(rankings)[:limit]


def choose(connection: Any, ranked: Sequence[int], budget_tokens: int) -> list[StoredPassage]:
    """Return the ranked passages and the neighbours of the best that fit, in reading order."""
    beside = {item: index.neighbours(connection, item) for item in ranked[:WITH_NEIGHBOURS]}
    wanted = [*ranked, *(other for item in ranked[:WITH_NEIGHBOURS] for other in beside[item])]
    found = index.passages(connection, list(dict.fromkeys(wanted)))
    return fit(wanted, found, budget_tokens)


def fit(
    wanted: Sequence[int], found: Mapping[int, StoredPassage], budget_tokens: int
) -> list[StoredPassage]:
    """Return as many of the wanted, in their order of worth, as fit; sorted as they are read."""
    kept: dict[int, StoredPassage] = {}
    left = budget_tokens
    for item in wanted:
        if item in kept or item not in found:
            continue
        size = estimate_tokens(found[item].passage.text)
        if size <= left:
            kept[item] = found[item]
            left -= size
    return sorted(kept.values(), key=lambda p: (p.file, p.document_id, p.passage.ordinal))
