"""How documents were used for an answer, as the sentence below it."""

from __future__ import annotations

from collections.abc import Sequence

from freehold.documents.budget import Budget
from freehold.documents.index import StoredPassage
from freehold.documents.records import StoredDocument


def say_used(
    mode: str,
    budget: Budget,
    passages: Sequence[StoredPassage],
    documents: Sequence[StoredDocument],
) -> str:
    """Return the sentence, without a full stop."""
    files = len({stored.document_id for stored in passages})
    if mode == "whole":
        what = "Whole document" if len(documents) == 1 else f"{len(documents)} whole documents"
        return f"{what} ({budget.document_tokens:,} tokens)"
    if mode == "first":
        return _first_pages(passages, documents)
    if mode == "all":
        return f"Read all {counted(len(passages), 'passage')} of {counted(files, 'file')}"
    if not passages:
        return f"Searched {counted(len(documents), 'file')}, nothing found"
    return f"{counted(len(passages), 'passage')} of {counted(files, 'file')}"


def _first_pages(passages: Sequence[StoredPassage], documents: Sequence[StoredDocument]) -> str:
    pages = whole_pages(passages, documents)
    if pages:
        total = sum(len(document.pages) for document in documents)
        word = documents[0].page_word if len({d.page_word for d in documents}) == 1 else "page"
        return f"The first {pages:,} of {counted(total, word)}"
    used = sum(len(stored.passage.text) for stored in passages)
    total = max(1, sum(document.characters for document in documents))
    return f"The first {max(1, used * 100 // total)} % of the text"


def whole_pages(passages: Sequence[StoredPassage], documents: Sequence[StoredDocument]) -> int:
    """Return how many pages passages from the beginning hold whole."""
    ends: dict[str, int] = {}
    for stored in passages:
        ends[stored.document_id] = max(ends.get(stored.document_id, 0), stored.passage.end)
    return sum(
        span.end <= ends.get(document.id, 0) and span.end > span.start
        for document in documents
        for span in document.pages
    )


def counted(count: int, word: str) -> str:
    """Return a count with its word: `1 page`, `2,300 pages`."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"
