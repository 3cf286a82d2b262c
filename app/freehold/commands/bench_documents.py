"""How fast documents are indexed and searched here: `freehold bench documents`.

Everything is made by rules, so the figures of two machines compare: 10,000 pages of text indexed
by words, vectors of random numbers for 100,000 passages and more, and the embedder that is bundled.
"""

from __future__ import annotations

import random
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import numpy as np

from freehold.documents import index
from freehold.documents import schema as documents_schema
from freehold.documents.embedding import embed_texts
from freehold.documents.index import Vectors
from freehold.documents.retrieval import CANDIDATES
from freehold.documents.values import PageSpan, ParsedDocument
from freehold.documents.vectors import VectorTable
from freehold.engine.process import ProcessEngine
from freehold.engine.requests import LoadOptions
from freehold.paths import Paths, resources
from freehold.storage.connection import Database

PAGES: Final = 10_000
SIZE: Final = 384
PASSAGES: Final = (100_000, 250_000, 1_000_000)
EMBEDDED: Final = 64
Figures = dict[str, Any]

SENTENCES: Final = (
    "Check the surroundings for loose parts and keep bystanders away from the work area.",
    "Only trained staff may carry out the steps in this part of the manual.",
    "Record the date and the name of the person in charge in the log book.",
    "Wear gloves and safety glasses; hot surfaces stay hot for a long time.",
    "If a step does not lead to the expected result, stop and call the service line.",
    "Dispose of used material according to the rules of the place of use.",
)


async def measure(tell: Callable[[str, Figures], None], *, passages: int) -> None:
    """Measure part after part; each is told when it is known. passages: the most vectors."""
    with tempfile.TemporaryDirectory() as name:
        database = open_database(Path(name))
        try:
            tell("index", measure_index(database))
        finally:
            database.close()
    for count in PASSAGES:
        if count <= passages:
            tell(f"vectors {count:,}", measure_vectors(count))
    tell("embedding", await measure_embedding())


def open_database(folder: Path) -> Database:
    """Return an empty database in a folder."""
    from freehold.chats import schema as chats_schema

    paths = Paths(folder / "d", folder / "s", folder / "c", folder / "f")
    paths.create()
    return Database.open(paths, (chats_schema.SCHEMA, documents_schema.SCHEMA))


def store(database: Database, document_id: str, document: ParsedDocument) -> int:
    """Index a document by its words; return its passages."""
    prepared = index.prepare(document)
    database.write_now(
        partial(index.add, document_id=document_id, document=document, prepared=prepared)
    )
    return len(prepared.passages)


def measure_index(database: Database) -> Figures:
    """Return the time and memory to index 10,000 pages by words, and the time of a query."""
    rng = random.Random(3)  # noqa: S311
    names = [f"part{number}" for number in range(30_000)]
    document = make_document(rng, names)
    began = time.perf_counter()
    passages = store(database, "big", document)
    index_s = time.perf_counter() - began
    times = []
    for name in rng.sample(names, 50):
        question = f"What does the {name} belong to?"
        began = time.perf_counter()
        database.read_now(
            partial(index.search_words, document_ids=["big"], question=question, limit=CANDIDATES)
        )
        times.append(time.perf_counter() - began)
    return {
        "pages": PAGES,
        "characters": len(document.text),
        "passages": passages,
        "index_s": index_s,
        "pages_per_s": PAGES / index_s,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "query_median_ms": 1000 * statistics.median(times),
    }


def make_document(rng: random.Random, names: list[str]) -> ParsedDocument:
    """Return a text of 10,000 pages."""
    spans: list[PageSpan] = []
    parts: list[str] = []
    at = 0
    for number in range(1, PAGES + 1):
        lines = [*rng.sample(SENTENCES, 6), *rng.sample(SENTENCES, 6), *rng.sample(SENTENCES, 6)]
        lines += [f"The {rng.choice(names)} belongs to the {rng.choice(names)}." for _ in range(12)]
        page = f"# Page {number}\n\n" + "\n".join(lines) + "\n\n"
        parts.append(page)
        spans.append(PageSpan(number, at, at + len(page)))
        at += len(page)
    return ParsedDocument(name="big", kind="pdf", text="".join(parts), pages=tuple(spans))


def measure_vectors(count: int) -> Figures:
    """Return the time of a search among so many vectors, and how many of the best it finds.

    The vectors lie in groups, as those of real texts do; a question's vector is near one of them.
    """
    rng = np.random.default_rng(1)
    centres = rng.standard_normal((2000, SIZE), dtype=np.float32)
    rows = np.empty((count, SIZE), dtype=np.float32)
    for start in range(0, count, 50_000):
        part = rows[start : start + 50_000]
        part[:] = centres[rng.integers(0, len(centres), len(part))]
        part += 0.7 * rng.standard_normal(part.shape, dtype=np.float32)
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    table = VectorTable(range(count), rows)
    times, shared = [], 0
    asked = rng.integers(0, count, 20)
    for place in asked:
        query: Vectors = rows[place] + 0.02 * rng.standard_normal(SIZE, dtype=np.float32)
        query /= np.linalg.norm(query)
        began = time.perf_counter()
        found = table.nearest(query, CANDIDATES)
        times.append(time.perf_counter() - began)
        likeness = rows @ query
        best = np.argpartition(-likeness, CANDIDATES - 1)[:CANDIDATES]
        shared += len(set(found) & {int(item) for item in best})
    return {
        "memory_bytes": table.bytes,
        "query_median_ms": 1000 * statistics.median(times),
        "query_most_ms": 1000 * max(times),
        "share_of_best_50": shared / (len(asked) * CANDIDATES),
    }


async def measure_embedding() -> Figures:
    """Return how fast the bundled embedder makes vectors of passages of about 500 tokens."""
    text = " ".join(SENTENCES * 5)
    engine = ProcessEngine()
    path = resources() / "models" / "all-MiniLM-L6-v2-Q8_0.gguf"
    info = await engine.load(LoadOptions(path=str(path), embeddings=True))
    lease: Any = SimpleNamespace(ref="bundled", engine=engine, info=info)
    try:
        await embed_texts(lease, [text])
        began = time.perf_counter()
        for start in range(0, EMBEDDED, 16):
            await embed_texts(lease, [f"{number} {text}" for number in range(start, start + 16)])
        spent_s = time.perf_counter() - began
    finally:
        await engine.close()
    return {"passages_per_s": EMBEDDED / spent_s, "passage_characters": len(text)}


def show(part: str, values: Figures) -> None:
    """Print one part's figures as they are known."""
    print(part)
    for key, value in values.items():
        if isinstance(value, dict):
            for inner, share in value.items():
                print(f"  {key} {inner:24} {share:.3f}", flush=True)
        elif value is None:
            print(f"  {key:35} not here", flush=True)
        else:
            shown = f"{value:,.3f}" if isinstance(value, float) else f"{value:,}"
            print(f"  {key:35} {shown}", flush=True)
