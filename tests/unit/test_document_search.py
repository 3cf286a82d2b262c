"""The index and the search over a real database: stems, BM25, vectors, fusion, deletion."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.chats import schema as chats_schema
from freehold.documents import index, records, schema
from freehold.documents.passages import cut
from freehold.documents.retrieval import choose, fuse, search
from freehold.documents.stemming import query_stems, stems
from freehold.documents.values import PageSpan, ParsedDocument
from freehold.documents.vectors import VectorTable
from freehold.paths import Paths
from freehold.storage.connection import Database

LEASE = "# Lease\n\nThe tenant pays the yearly rent in March.\n\n# End\n\nIt ends after nine years."
CONTRACT = "# Договор\n\nАрендатор обязан оплачивать счета вовремя.\n\n# Срок\n\nСрок — девять лет."


def document(name: str, text: str) -> ParsedDocument:
    return ParsedDocument(
        name=name, kind="markdown", text=text, pages=(PageSpan(1, 0, len(text)),), notes=("a",)
    )


def add(database: Database, name: str, text: str, *, target: int = 14) -> str:
    parsed = document(name, text)
    pairs = tuple(
        (p, " ".join(stems(p.text))) for p in cut(text, parsed.pages, target_tokens=target)
    )
    database.write_now(lambda c: index.add(c, name, parsed, index.Prepared(pairs)))
    return name


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    paths = Paths(tmp_path / "d", tmp_path / "s", tmp_path / "c", tmp_path / "f")
    paths.create()
    database = Database.open(paths, (chats_schema.SCHEMA, schema.SCHEMA))
    yield database
    database.close()


def texts(database: Database, ids: list[int]) -> list[str]:
    found = database.read_now(lambda c: index.passages(c, ids))
    return [found[item].passage.text for item in ids]


def find(database: Database, documents: list[str], question: str, **more: Any) -> list[str]:
    return texts(database, database.read_now(lambda c: search(c, documents, question, **more)))


def test_words_are_found_by_their_stems_in_both_languages(database: Database) -> None:
    both = [add(database, "lease", LEASE), add(database, "contract", CONTRACT, target=40)]
    assert "yearly rent" in find(database, both, "Who is paying rents?")[0]
    assert "оплачивать счета" in find(database, both, "оплата счёта арендатором")[0]
    assert "счета" in find(database, both, "СЧЁТА")[0]
    assert find(database, ["contract"], "rent") == []
    assert find(database, both, '??? " OR * NEAR(') == []


def test_query_keeps_common_words_only_when_there_are_no_others() -> None:
    assert query_stems("What is the rent?") == ("rent",)
    assert query_stems("to be or not") == ("not",)
    assert query_stems("What is it?") == ("what", "is", "it")


def test_stored_text_is_whole_and_described(database: Database) -> None:
    add(database, "lease", LEASE)
    stored = database.read_now(lambda c: index.passages_of(c, "lease"))
    assert "".join(p.passage.text for p in stored) == LEASE
    assert stored[-1].passage.heading == "End"
    known = database.read_now(lambda c: records.find(c, "lease"))
    assert known is not None
    assert (known.name, known.notes, known.embedder) == ("lease", ("a",), None)
    assert known.passages == len(stored)
    assert database.read_now(records.documents) == [known]
    assert database.read_now(lambda c: records.find(c, "none")) is None


def vector(*values: float) -> bytes:
    array = np.array(values, dtype="<f4")
    return bytes((array / np.linalg.norm(array)).tobytes())


def test_vectors_belong_to_their_embedder(database: Database) -> None:
    add(database, "lease", LEASE)
    missing = database.write_now(lambda c: index.without_vectors(c, "lease", "one"))
    pairs = [(p.id, vector(1, n)) for n, p in enumerate(missing)]
    database.write_now(lambda c: index.add_vectors(c, "one", pairs))
    database.write_now(lambda c: index.add_vectors(c, "other", pairs[:1]))
    assert database.write_now(lambda c: index.without_vectors(c, "lease", "one")) == []
    ids, vectors = database.read_now(lambda c: index.load_vectors(c, ["lease"], "one"))
    assert ids == [p.id for p in missing]
    assert vectors.shape == (len(missing), 2)
    best = texts(database, VectorTable(ids, vectors).nearest(np.array([1, 0], np.float32), 1))
    assert best == [missing[0].passage.text]
    # Another embedder: every vector is made anew.
    again = database.write_now(lambda c: index.without_vectors(c, "lease", "two"))
    assert [p.id for p in again] == ids
    assert database.read_now(lambda c: index.load_vectors(c, ["lease"], "one"))[0] == []


def test_vectors_find_what_words_do_not(database: Database) -> None:
    add(database, "lease", LEASE)
    missing = database.write_now(lambda c: index.without_vectors(c, "lease", "one"))
    pairs = [(p.id, vector(1 if "rent" in p.passage.text else 0, 1)) for p in missing]
    database.write_now(lambda c: index.add_vectors(c, "one", pairs))
    query = np.array([1, 0], np.float32)
    found = find(database, ["lease"], "сколько стоит", query_vector=query, embedder="one", limit=1)
    assert "rent" in found[0]


def test_neighbours_come_along_as_far_as_there_is_room(database: Database) -> None:
    text = "\n\n".join(
        f"Paragraph number {word}." for word in ("one", "two", "three", "four", "five")
    )
    add(database, "a", text, target=8)
    ranked = database.read_now(lambda c: search(c, ["a"], "three"))
    chosen = database.read_now(lambda c: choose(c, ranked, 1000))
    assert [p.passage.text.split()[2] for p in chosen] == ["two.", "three.", "four."]
    alone = database.read_now(lambda c: choose(c, ranked, 7))
    assert [p.passage.text.split()[2] for p in alone] == ["three."]
    assert database.read_now(lambda c: choose(c, ranked, 0)) == []


def test_deleting_leaves_no_bytes(database: Database, tmp_path: Path) -> None:
    secret = "Zanzibarquartz"
    add(database, "a", f"{secret} is the word. " * 200, target=50)
    add(database, "b", LEASE)
    missing = database.write_now(lambda c: index.without_vectors(c, "a", "one"))
    mark = struct.pack("<4f", 0.125, 0.25, 0.0625, 0.7)
    database.write_now(lambda c: index.add_vectors(c, "one", [(p.id, mark) for p in missing]))
    assert database.write_now(lambda c: index.remove(c, "a")) is True
    assert database.write_now(lambda c: index.remove(c, "a")) is False
    assert find(database, ["a", "b"], "zanzibarquartz") == []
    path = database.path
    database.close()
    kept = b"".join(p.read_bytes() for p in path.parent.glob("freehold.db*"))
    for trace in (secret.encode(), secret.lower().encode(), b"anzibarquartz", mark):
        assert trace not in kept
    assert b"yearly rent" in kept


@given(st.lists(st.lists(st.integers(0, 30), unique=True, max_size=20), max_size=3))
def test_fusion_holds_everything_once(rankings: list[list[int]]) -> None:
    fused = fuse(rankings)
    assert sorted(fused) == sorted({item for ranking in rankings for item in ranking})
    assert len(rankings) != 1 or fused == rankings[0]


def test_fusion_prefers_what_both_found() -> None:
    assert fuse([[1, 2, 3], [4, 2, 5]])[0] == 2
