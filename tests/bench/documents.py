"""Print what reading and searching documents achieve: `make bench-documents`.

Recall: for every question of the generated corpus, whether a passage that holds the supporting
words is among the first eight, by BM25 alone, by vectors alone, and by both fused, over all files
at once. Extraction: words in order against `pdftotext -layout`. Speed: pages a second, the time
and memory to index 10,000 pages, and the time of a query at 100,000 passages.
"""

from __future__ import annotations

import argparse
import asyncio
import difflib
import json
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "app")]

from doubles.document_corpus import FILLER, Corpus, make_corpus, write_corpus  # noqa: E402
from freehold.chats import schema as chats_schema  # noqa: E402
from freehold.documents import index, schema  # noqa: E402
from freehold.documents.embedding import embed_documents, embed_texts, identity  # noqa: E402
from freehold.documents.parsing import parse_file  # noqa: E402
from freehold.documents.retrieval import CANDIDATES, WANTED, fuse  # noqa: E402
from freehold.documents.values import PageSpan, ParsedDocument  # noqa: E402
from freehold.documents.vectors import VectorTable  # noqa: E402
from freehold.engine.process import ProcessEngine  # noqa: E402
from freehold.engine.requests import LoadOptions  # noqa: E402
from freehold.paths import Paths, resources  # noqa: E402
from freehold.storage.connection import Database  # noqa: E402

EMBEDDER = resources() / "models" / "all-MiniLM-L6-v2-Q8_0.gguf"
PAGES = 10_000
PASSAGES = 100_000
Figures = dict[str, object]


def words(text: str) -> list[str]:
    """Return the words of a text without the marks of Markdown."""
    return [w for w in text.replace("|", " ").replace("#", " ").split() if w.strip("-")]


def squeeze(text: str) -> str:
    """Return a text with single spaces."""
    return " ".join(text.split())


def open_database(folder: Path) -> Database:
    paths = Paths(folder / "d", folder / "s", folder / "c", folder / "f")
    paths.create()
    return Database.open(paths, (chats_schema.SCHEMA, schema.SCHEMA))


def store(database: Database, document_id: str, document: ParsedDocument) -> int:
    prepared = index.prepare(document)
    database.write_now(
        partial(index.add, document_id=document_id, document=document, prepared=prepared)
    )
    return len(prepared.passages)


# --- reading ---------------------------------------------------------------------------------


def measure_reading(folder: Path, corpus: Corpus, database: Database) -> Figures:
    """Read every file of the corpus, store it, and compare PDF with pdftotext."""
    agreements: list[float] = []
    pages = 0
    spent_s = 0.0
    other_s = 0.0
    tool = shutil.which("pdftotext")
    for path in write_corpus(corpus, folder):
        began = time.perf_counter()
        document = parse_file(path)
        if path.suffix == ".pdf":
            spent_s += time.perf_counter() - began
            pages += document.page_count
            if tool is not None:
                began = time.perf_counter()
                out = subprocess.run([tool, "-layout", path, "-"], capture_output=True, check=True)
                other_s += time.perf_counter() - began
                mine, other = words(document.text), words(out.stdout.decode())
                match = difflib.SequenceMatcher(None, mine, other, autojunk=False)
                same = sum(block.size for block in match.get_matching_blocks())
                agreements.append(same / max(1, len(other)))
        store(database, path.name, document)
    return {
        "files": len(corpus.files),
        "pdf_pages": pages,
        "pages_per_s": pages / spent_s,
        "pdftotext_pages_per_s": pages / other_s if other_s else None,
        "agreement_mean": statistics.mean(agreements) if agreements else None,
        "agreement_least": min(agreements) if agreements else None,
    }


# --- recall ----------------------------------------------------------------------------------


async def measure_recall(corpus: Corpus, database: Database) -> Figures:
    """Return recall@8 of the three ways to search, by language."""
    engine = ProcessEngine()
    info = await engine.load(LoadOptions(path=str(EMBEDDER), embeddings=True))
    lease: Any = SimpleNamespace(ref="bundled", engine=engine, info=info)
    try:
        ids = list(corpus.files)
        began = time.perf_counter()
        await embed_documents(database, lease, ids, lambda _done, _total: None)
        embedding_s = time.perf_counter() - began
        queries = [(await embed_texts(lease, [question.text]))[0] for question in corpus.questions]
    finally:
        await engine.close()
    place_ids, vectors = database.read_now(
        partial(index.load_vectors, document_ids=ids, embedder=identity(lease))
    )
    table = VectorTable(place_ids, vectors)
    texts = {
        key: squeeze(found.passage.text)
        for key, found in database.read_now(partial(index.passages, passage_ids=place_ids)).items()
    }
    hits: dict[tuple[str, str], list[bool]] = {}
    for question, query in zip(corpus.questions, queries, strict=True):
        search = partial(
            index.search_words, document_ids=ids, question=question.text, limit=CANDIDATES
        )
        by_words = database.read_now(search)
        by_vectors = table.nearest(query, CANDIDATES)
        wanted = squeeze(question.support)
        ways = {"bm25": by_words, "vectors": by_vectors, "fused": fuse([by_words, by_vectors])}
        for way, ranked in ways.items():
            hit = any(wanted in texts[item] for item in ranked[:WANTED])
            for language in (question.language, "all"):
                hits.setdefault((way, language), []).append(hit)
    return {
        "questions": len(corpus.questions),
        "passages": len(place_ids),
        "embedded_passages_per_s": len(place_ids) / embedding_s,
        "recall_at_8": {f"{way} {lang}": statistics.mean(got) for (way, lang), got in hits.items()},
    }


# --- size ------------------------------------------------------------------------------------


def measure_size(database: Database) -> Figures:
    """Index 10,000 pages by words, then ask; the vectors of 100,000 passages are random."""
    rng = random.Random(3)
    names = [f"part{number}" for number in range(30_000)]
    pages = []
    for number in range(PAGES):
        lines = [*rng.sample(FILLER, 6), *rng.sample(FILLER, 6), *rng.sample(FILLER, 6)]
        lines += [f"The {rng.choice(names)} belongs to the {rng.choice(names)}." for _ in range(12)]
        pages.append(f"# Page {number}\n\n" + "\n".join(lines) + "\n\n")
    text = "".join(pages)
    spans, at = [], 0
    for number, page in enumerate(pages, start=1):
        spans.append(PageSpan(number, at, at + len(page)))
        at += len(page)
    document = ParsedDocument(name="big", kind="pdf", text=text, pages=tuple(spans))
    began = time.perf_counter()
    passages = store(database, "big", document)
    index_s = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    times = []
    for name in rng.sample(names, 50):
        began = time.perf_counter()
        question = f"What does the {name} belong to?"
        database.read_now(
            partial(index.search_words, document_ids=["big"], question=question, limit=CANDIDATES)
        )
        times.append(time.perf_counter() - began)
    vectors = np.random.default_rng(1).standard_normal((PASSAGES, 384), dtype=np.float32)
    table = VectorTable(range(PASSAGES), vectors)
    near = []
    for row in range(20):
        began = time.perf_counter()
        table.nearest(vectors[row], CANDIDATES)
        near.append(time.perf_counter() - began)
    return {
        "pages": PAGES,
        "characters": len(text),
        "passages": passages,
        "index_s": index_s,
        "peak_bytes": peak,
        "word_query_median_s": statistics.median(times),
        "vector_query_100k_median_s": statistics.median(near),
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    args = parser.parse_args()
    corpus = make_corpus()
    figures: dict[str, Figures] = {}

    def note(part: str, values: Figures) -> None:
        figures[part] = values
        if not args.json:
            show(part, values)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        database = open_database(folder)
        try:
            note("reading", measure_reading(folder, corpus, database))
            note("size", measure_size(database))
            note("search", asyncio.run(measure_recall(corpus, database)))
        finally:
            database.close()
    if args.json:
        print(json.dumps(figures))
    return 0


def show(part: str, values: Figures) -> None:
    """Print one part's figures as they are known."""
    print(part)
    for key, value in values.items():
        if isinstance(value, dict):
            for inner, share in value.items():
                print(f"  {key} {inner:24} {share:.3f}", flush=True)
        elif value is None:
            print(f"  {key:35} not here")
        else:
            shown = f"{value:,.3f}" if isinstance(value, float) else f"{value:,}"
            print(f"  {key:35} {shown}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
