"""The generated corpus searched by words alone: a floor that a change must not break.

`make bench-documents` measures the same with vectors, from files, and prints figures.
"""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from pathlib import Path

from doubles.document_corpus import as_markdown, make_corpus
from freehold.chats import schema as chats_schema
from freehold.documents import index, schema
from freehold.documents.values import PageSpan, ParsedDocument
from freehold.paths import Paths
from freehold.storage.connection import Database

AT = 8
LEAST = 0.95


def test_words_find_the_supporting_passage(tmp_path: Path) -> None:
    corpus = make_corpus()
    assert len(corpus.questions) >= 300
    paths = Paths(tmp_path / "d", tmp_path / "s", tmp_path / "c", tmp_path / "f")
    paths.create()
    database = Database.open(paths, (chats_schema.SCHEMA, schema.SCHEMA))
    try:
        for name, pages in corpus.files.items():
            text = as_markdown(pages)
            document = ParsedDocument(
                name=name, kind="text", text=text, pages=(PageSpan(1, 0, len(text)),)
            )
            prepared = index.prepare(document)
            database.write_now(
                partial(index.add, document_id=name, document=document, prepared=prepared)
            )
        hits: dict[str, list[bool]] = defaultdict(list)
        for question in corpus.questions:
            search = partial(
                index.search_words,
                document_ids=list(corpus.files),
                question=question.text,
                limit=AT,
            )
            found = database.read_now(
                partial(index.passages, passage_ids=database.read_now(search))
            )
            hit = any(question.support in item.passage.text for item in found.values())
            hits[question.language].append(hit)
    finally:
        database.close()
    for language, got in hits.items():
        assert sum(got) / len(got) >= LEAST, (language, sum(got), len(got))
