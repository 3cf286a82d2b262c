"""Vectors of passages: long texts in pieces, slow embedders put off, what is left is said."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from freehold.chats import schema as chats_schema
from freehold.documents import embedding, index, records, schema
from freehold.documents.embedding import embed_documents, embed_texts, identity
from freehold.documents.values import PageSpan, ParsedDocument
from freehold.paths import Paths
from freehold.storage.connection import Database


class CharacterEngine:
    """One token a character; the vector of a text is how many a's and b's it has."""

    def __init__(self) -> None:
        self.embedded: list[str] = []

    async def tokenize(self, *, text: str) -> Any:
        return SimpleNamespace(tokens=tuple(range(len(text) + 2)))

    async def embed(self, inputs: tuple[str, ...]) -> Any:
        self.embedded.extend(inputs)
        counts = [np.array([t.count("a") + 0.001, t.count("b")], "<f4") for t in inputs]
        unit = [count / np.linalg.norm(count) for count in counts]
        return SimpleNamespace(vectors=tuple(struct.pack("<2f", *u) for u in unit))


def lease(engine: CharacterEngine, longest: int = 50) -> Any:
    info = SimpleNamespace(
        trained_context_tokens=longest, architecture="bert", embedding_size=2, bytes=7
    )
    return SimpleNamespace(ref="e", engine=engine, info=info)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    paths = Paths(tmp_path / "d", tmp_path / "s", tmp_path / "c", tmp_path / "f")
    paths.create()
    database = Database.open(paths, (chats_schema.SCHEMA, schema.SCHEMA))
    text = "aaa bbb. " * 20_000
    document = ParsedDocument(name="d", kind="text", text=text, pages=(PageSpan(1, 0, len(text)),))
    prepared = index.prepare(document)
    database.write_now(partial(index.add, document_id="d", document=document, prepared=prepared))
    yield database
    database.close()


async def test_a_long_text_is_embedded_in_pieces_that_fit() -> None:
    engine = CharacterEngine()
    text = "a" * 90 + " " + "b" * 90
    (vector,) = await embed_texts(lease(engine), [text])
    assert len(engine.embedded) > 3
    assert all(len(piece) + 2 <= 42 for piece in engine.embedded)
    assert sum(piece.count("a") + piece.count("b") for piece in engine.embedded) == 180
    assert vector == pytest.approx([0.7071, 0.7071], abs=0.01)


async def test_every_passage_gets_its_vector_once(database: Database) -> None:
    engine = CharacterEngine()
    held = lease(engine, 2048)
    told: list[tuple[int, int]] = []
    assert await embed_documents(database, held, ["d"], lambda *t: told.append(t)) == 0
    ids, vectors = database.read_now(
        partial(index.load_vectors, document_ids=["d"], embedder=identity(held))
    )
    assert vectors.shape == (len(ids), 2)
    assert told[0] == (0, len(ids))
    engine.embedded.clear()
    assert await embed_documents(database, held, ["d"], lambda *t: None) == 0
    assert engine.embedded == []


async def test_what_would_take_too_long_is_left(database: Database) -> None:
    engine = CharacterEngine()
    held = lease(engine, 2048)
    left = await embed_documents(database, held, ["d"], lambda *t: None, limit_s=1e-9)
    known = database.read_now(partial(records.find, document_id="d"))
    assert known is not None
    assert left == known.passages - embedding.BATCH
