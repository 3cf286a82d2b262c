"""What a model makes of documents: where its citations point, and how long a second question waits.

A citation is right when the words it quotes hold the sentence that answers the question, or are a
part of it. What the model says without a citation counts in `cited_share` alone.
"""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from doubles.document_corpus import Corpus, Question
from freehold.documents.asking import Asking
from freehold.documents.grounding import Grounding
from freehold.documents.searching import Searching
from freehold.documents.stemming import query_stems
from freehold.engine.process import ProcessEngine
from freehold.engine.requests import LoadOptions
from freehold.paths import resources
from freehold.storage.connection import Database
from freehold.wire_documents import DocumentAnswer

EMBEDDER = resources() / "models" / "all-MiniLM-L6-v2-Q8_0.gguf"


class TwoEngines:
    """An `EngineSource` of the model that answers and the embedder, both loaded once."""

    def __init__(self) -> None:
        self._leases: dict[str, Any] = {}

    async def load(self, ref: str, path: Path, **options: Any) -> None:
        engine = ProcessEngine()
        info = await engine.load(LoadOptions(path=str(path), **options))
        self._leases[ref] = SimpleNamespace(ref=ref, engine=engine, info=info)

    @contextlib.asynccontextmanager
    async def lease(self, ref: str, on_progress: Any = None) -> AsyncIterator[Any]:
        yield self._leases[ref]

    async def close(self) -> None:
        for lease in self._leases.values():
            await lease.engine.close()


async def measure_answers(
    corpus: Corpus, database: Database, model: Path, wanted: int
) -> dict[str, Any]:
    """Ask about one file at a time and look where the citations point."""
    engines = TwoEngines()
    try:
        await engines.load("model", model, parallel=1)
        await engines.load("embedder", EMBEDDER, embeddings=True)
        searching = Searching(database, engines, _named("embedder"), _named(None))
        asking = Asking(database, engines, Grounding(database, searching))
        step = max(1, len(corpus.questions) // wanted)
        answers = [
            (question, await _ask(asking, question))
            for question in corpus.questions[::step][:wanted]
        ]
        first, second = await _twice(asking, corpus)
        await searching.close()
    finally:
        await engines.close()
    return {**_precision(answers), **_waits(first, second)}


async def _ask(asking: Asking, question: Question) -> DocumentAnswer:
    return await asking.answer([question.file], [], question.text, "model", _nothing)


async def _twice(asking: Asking, corpus: Corpus) -> tuple[DocumentAnswer, DocumentAnswer]:
    """Ask two questions about the largest file that fits whole."""
    best: tuple[DocumentAnswer, DocumentAnswer] | None = None
    for name in sorted(corpus.files, key=lambda name: -sum(map(len, corpus.files[name]))):
        first = await asking.answer([name], [], "What is said first?", "model", _nothing)
        if first.mode == "whole":
            best = first, await asking.answer([name], [], "Who is named?", "model", _nothing)
            break
    assert best is not None
    return best


def _precision(answers: list[tuple[Question, DocumentAnswer]]) -> dict[str, Any]:
    cited = [(q, c) for q, answer in answers for c in answer.citations]
    right = sum(is_right(question, citation.quote) for question, citation in cited)
    return {
        "questions": len(answers),
        "whole": sum(answer.mode == "whole" for _, answer in answers),
        "answers_absent": sum(answer.is_absent for _, answer in answers),
        "cited_share": statistics.mean(bool(answer.citations) for _, answer in answers),
        "citations": len(cited),
        "citation_precision": right / len(cited) if cited else None,
        "marks_dropped": sum(answer.dropped for _, answer in answers),
    }


def is_right(question: Question, quote: str) -> bool:
    """Return whether a quote holds the supporting words, or most of its own words are of them."""
    support, quoted = set(query_stems(question.support)), set(query_stems(quote))
    return support <= quoted or len(quoted & support) >= 0.8 * len(quoted) > 0


def _waits(first: DocumentAnswer, second: DocumentAnswer) -> dict[str, Any]:
    return {
        "prompt_tokens": first.prompt_tokens,
        "first_question_wait_s": first.first_token_s,
        "second_question_wait_s": second.first_token_s,
        "second_of_first": second.first_token_s / max(1e-9, first.first_token_s),
        "second_cached_share": second.cached_tokens / max(1, second.prompt_tokens),
    }


def _named(ref: str | None) -> Any:
    async def choose() -> str | None:
        return ref

    return choose


def _nothing(_phase: str, _done: int, _total: int) -> None:
    """Hear of progress."""
