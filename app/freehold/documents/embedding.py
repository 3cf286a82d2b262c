"""Vectors of passages and questions, made by an embedding model through its engine."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import numpy as np

from freehold.documents import index
from freehold.documents.index import StoredPassage, Vectors
from freehold.engine.interface import Engine, Lease
from freehold.storage.connection import Database

BATCH: Final = 16
# Room for the tokens that an embedder adds at both ends.
ADDED_TOKENS: Final = 8
LONGEST_TOKENS: Final = 2048

Tell = Callable[[int, int], None]


def identity(lease: Lease) -> str:
    """Return what tells one embedder's vectors from another's."""
    info = lease.info
    return f"{lease.ref}|{info.architecture}|{info.embedding_size}|{info.bytes}"


async def embed_documents(
    database: Database,
    lease: Lease,
    document_ids: Sequence[str],
    tell: Tell,
    *,
    limit_s: float = math.inf,
) -> int:
    """Make the vectors that documents lack, storing them as they come.

    Returns how many passages are left without one: it stops when it is seen to take longer than
    `limit_s`.
    """
    began = time.monotonic()
    embedder = identity(lease)
    missing: list[StoredPassage] = []
    lacking = partial(index.to_embed, document_ids=document_ids, embedder=embedder)
    for document_id in await database.read(lacking):
        find = partial(index.without_vectors, document_id=document_id, embedder=embedder)
        missing.extend(await database.write(find))
    for start in range(0, len(missing), BATCH):
        expected_s = (time.monotonic() - began) / start * len(missing) if start else 0.0
        if expected_s > limit_s:
            return len(missing) - start
        tell(start, len(missing))
        batch = missing[start : start + BATCH]
        texts = [f"{item.passage.heading}\n{item.passage.text}" for item in batch]
        vectors = await embed_texts(lease, texts)
        pairs = [(item.id, vector.tobytes()) for item, vector in zip(batch, vectors, strict=True)]
        await database.write(
            partial(index.add_vectors, embedder=embedder, vectors=pairs), durable=False
        )
    return 0


async def embed_texts(lease: Lease, texts: Sequence[str]) -> list[Vectors]:
    """Return a normalised vector per text; of a text too long for the model, its pieces' mean."""
    longest = min(lease.info.trained_context_tokens or LONGEST_TOKENS, LONGEST_TOKENS)
    pieces = [
        await _pieces(lease.engine, text.strip() or "-", max(16, longest - ADDED_TOKENS))
        for text in texts
    ]
    flat = tuple(piece for part in pieces for piece in part)
    embedded = await lease.engine.embed(flat)
    rows = [np.frombuffer(vector, dtype="<f4") for vector in embedded.vectors]
    vectors: list[Vectors] = []
    at = 0
    for part in pieces:
        weights = [float(len(piece)) for piece in part]
        mean = np.average(np.stack(rows[at : at + len(part)]), axis=0, weights=weights)
        norm = float(np.linalg.norm(mean)) or 1.0
        vectors.append((mean / norm).astype("<f4"))
        at += len(part)
    return vectors


async def _pieces(engine: Engine, text: str, longest: int) -> list[str]:
    """Return a text cut in halves until each fits."""
    if len(text) <= longest // 2:  # no tokenizer makes more than one token a character, nearly
        return [text]
    tokens = (await engine.tokenize(text=text)).tokens
    if len(tokens) <= longest or len(text) < 2:
        return [text]
    middle = len(text) // 2
    space = text.find(" ", middle, middle + 200)
    cut_at = space if space > 0 else middle
    halves = (text[:cut_at].strip() or "-", text[cut_at:].strip() or "-")
    return [piece for half in halves for piece in await _pieces(engine, half, longest)]
