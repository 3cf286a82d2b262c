"""A second look at what a search found: a reranker reads question and passage together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from freehold.engine.interface import Lease
from freehold.engine.protocol import Embedded

# So many of the search's passages are looked at again.
RERANKED: Final = 24
LONGEST_TOKENS: Final = 512


async def rerank(lease: Lease, question: str, texts: Sequence[str]) -> list[int]:
    """Return the places of the texts, the most fitting first.

    The pair is laid out as encoders are trained: beginning, question, separator, text, end.
    Raises: AppError from the engine.
    """
    longest = min(lease.info.trained_context_tokens or LONGEST_TOKENS, LONGEST_TOKENS)
    asked = (await lease.engine.tokenize(text=question)).tokens[: longest // 2]
    pairs: list[tuple[int, ...]] = []
    for text in texts:
        tokens = (await lease.engine.tokenize(text=text.strip() or "-")).tokens
        room = longest - len(asked)
        # The first token begins an input; inside a pair there is none.
        pairs.append((*asked, *tokens[1 : room + 1]))
    scores: Embedded = await lease.engine.embed(tuple(pairs))
    values = [read_score(vector) for vector in scores.vectors]
    return sorted(range(len(texts)), key=lambda place: (-values[place], place))


def read_score(vector: bytes) -> float:
    """Return the score that a ranking model gives instead of a vector."""
    return float(memoryview(vector).cast("f")[0])
