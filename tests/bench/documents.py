"""Print what reading and searching documents achieve: `make bench-documents`.

Recall: for every question of the generated corpus, whether a passage that holds the supporting
words is among the first eight, by BM25 alone, by vectors alone, and by both fused, over all files
at once. Extraction: words in order against `pdftotext -layout`, pdfminer.six, `docx2txt` and
LibreOffice, those that are installed. Answers: what a model's citations point at, and how long the
second question about the same document waits. Then what `freehold bench documents` measures.
"""

from __future__ import annotations

import argparse
import asyncio
import difflib
import importlib.util
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "app")]

from bench.document_answers import measure_answers  # noqa: E402
from doubles.document_corpus import Corpus, make_corpus, write_corpus  # noqa: E402
from freehold.commands import bench_documents  # noqa: E402
from freehold.commands.bench_documents import Figures, open_database, show, store  # noqa: E402
from freehold.documents import index  # noqa: E402
from freehold.documents.embedding import embed_documents, embed_texts, identity  # noqa: E402
from freehold.documents.parsing import parse_file  # noqa: E402
from freehold.documents.retrieval import CANDIDATES, WANTED, fuse  # noqa: E402
from freehold.documents.values import ParsedDocument  # noqa: E402
from freehold.documents.vectors import VectorTable  # noqa: E402
from freehold.engine.process import ProcessEngine  # noqa: E402
from freehold.engine.requests import LoadOptions  # noqa: E402
from freehold.paths import resources  # noqa: E402
from freehold.storage.connection import Database  # noqa: E402

EMBEDDER = resources() / "models" / "all-MiniLM-L6-v2-Q8_0.gguf"
STARTER = resources() / "models" / "freehold-starter-Q8_0.gguf"


def words(text: str) -> list[str]:
    """Return the words of a text without marks; docx2txt leaves no space between paragraphs."""
    return re.findall(r"\w+", text)


def squeeze(text: str) -> str:
    """Return a text with single spaces."""
    return " ".join(text.split())


# --- reading ---------------------------------------------------------------------------------


def agreement(mine: str, other: str) -> float:
    """Return the share of another program's words that are in ours, in order."""
    ours, theirs = words(mine), words(other)
    match = difflib.SequenceMatcher(None, ours, theirs, autojunk=False)
    return sum(block.size for block in match.get_matching_blocks()) / max(1, len(theirs))


def pdftotext(path: Path) -> str:
    return _say(["pdftotext", "-layout", str(path), "-"])


def pdfminer(path: Path) -> str:
    from pdfminer.high_level import extract_text  # type: ignore[import-not-found]

    return str(extract_text(str(path)))


def docx2txt(path: Path) -> str:
    return _say(["docx2txt", str(path), "-"])


def libreoffice(path: Path) -> str:
    with tempfile.TemporaryDirectory() as folder:
        _say(["soffice", "--headless", "--convert-to", "txt:Text", "--outdir", folder, str(path)])
        return next(Path(folder).glob("*.txt")).read_text(encoding="utf-8-sig")


def _say(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, check=True, timeout=300).stdout.decode()


OTHERS: dict[str, tuple[str, Callable[[Path], str]]] = {
    "pdftotext -layout": (".pdf", pdftotext),
    "pdfminer.six": (".pdf", pdfminer),
    "docx2txt": (".docx", docx2txt),
    "LibreOffice": (".docx", libreoffice),
}


def is_here(name: str) -> bool:
    """Return whether another program is installed."""
    if name == "pdfminer.six":
        return importlib.util.find_spec("pdfminer") is not None
    return shutil.which({"LibreOffice": "soffice"}.get(name, name.split()[0])) is not None


def measure_reading(folder: Path, corpus: Corpus, database: Database) -> Figures:
    """Read every file of the corpus, store it, and compare with other programs."""
    parsed: dict[Path, ParsedDocument] = {}
    spent: Counter[str] = Counter()
    pages: Counter[str] = Counter()
    for path in write_corpus(corpus, folder):
        began = time.perf_counter()
        document = parsed[path] = parse_file(path)
        spent[path.suffix] += time.perf_counter() - began
        pages[path.suffix] += document.page_count
        store(database, path.name, document)
    figures: Figures = {"files": len(corpus.files), "pdf_pages": pages[".pdf"]}
    figures["pdf_pages_per_s"] = pages[".pdf"] / spent[".pdf"]
    largest = max(parsed, key=lambda path: parsed[path].page_count)
    began = time.perf_counter()
    parse_file(largest)
    figures["pages_per_s of the largest"] = parsed[largest].page_count / (
        time.perf_counter() - began
    )
    for name, (suffix, read) in OTHERS.items():
        if not is_here(name):
            figures[name] = None
            continue
        mine = [path for path in parsed if path.suffix == suffix]
        shares = [agreement(parsed[path].text, read(path)) for path in mine]
        if suffix == largest.suffix:
            began = time.perf_counter()
            read(largest)
            rate = parsed[largest].page_count / (time.perf_counter() - began)
            figures[f"{name} pages_per_s of the largest"] = rate
        figures[f"{name} agreement mean"] = statistics.mean(shares)
        figures[f"{name} agreement least"] = min(shares)
    return figures


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


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--model", type=Path, default=STARTER, help="the model that answers")
    parser.add_argument("--questions", type=int, default=60, help="so many of them are answered")
    parser.add_argument("--quick", action="store_true", help="leave sizes and embedding out")
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
            note("search", asyncio.run(measure_recall(corpus, database)))
            if args.model.is_file():
                measuring = measure_answers(corpus, database, args.model, args.questions)
                note(f"answers of {args.model.name}", asyncio.run(measuring))
            else:
                note(f"answers of {args.model.name}", {"model": None})
        finally:
            database.close()
    if not args.quick:
        asyncio.run(bench_documents.measure(note, passages=250_000))
    if args.json:
        print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
