"""What a question is answered from: documents whole, their first pages, found passages, or all."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final, Literal

import msgspec

from freehold.documents import index
from freehold.documents.budget import Budget, decide
from freehold.documents.citations import check
from freehold.documents.generation import Messages, Phase, count
from freehold.documents.index import StoredPassage
from freehold.documents.intent import classify
from freehold.documents.passages import estimate_tokens
from freehold.documents.prompt import Turn, build_messages
from freehold.documents.reading_all import MAX_PARTS, PartsReader, parts_of
from freehold.documents.records import StoredDocument
from freehold.documents.retrieval import choose
from freehold.documents.searching import Searching
from freehold.documents.values import PageSpan
from freehold.documents.words import say_used
from freehold.engine.interface import Lease
from freehold.errors import AppError
from freehold.storage.connection import Database
from freehold.wire_documents import Choice
from freehold.wire_grounds import DocumentCitation, Grounds

Mode = Literal["whole", "first", "searched", "all"]

# Counting more text than could ever fit would only take time.
COUNTED_SHARE: Final = 3
SMALLEST_ROOM: Final = 64
ABSENT: Final = "Not in the documents."


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """The documents that are asked about, and what to do when they do not fit."""

    documents: tuple[StoredDocument, ...]
    choice: Choice = ""
    notes: tuple[str, ...] = ()

    @property
    def page_words(self) -> dict[str, str]:
        """Return what each document's pages are called."""
        return {item.id: item.page_word for item in self.documents}


class Grounded(msgspec.Struct, frozen=True, kw_only=True):
    """A question ready for the model.

    messages: None when there is nothing to answer from. passages: those that may be cited;
    number n is the n-th.
    """

    mode: Mode
    messages: Messages | None
    passages: tuple[StoredPassage, ...]
    budget: Budget
    documents: Mapping[str, StoredDocument]
    says: str
    notes: tuple[str, ...] = ()


class Grounding:
    """Prepares questions, whoever asks them."""

    def __init__(self, database: Database, searching: Searching) -> None:
        self._database = database
        self._searching = searching

    async def ground(self, lease: Lease, scope: Scope, turn: Turn, tell: Phase) -> Grounded:
        """Return what to give the model for a question.

        Raises: AppError `context_length_exceeded`, or what the engine raises.
        """
        words = scope.page_words
        notes = [*scope.notes, *_unread(scope.documents)]
        other = await count(lease, build_messages([], turn, words))
        context = lease.info.context_tokens
        estimated = sum(document.estimated_tokens for document in scope.documents)
        passages: list[StoredPassage] = []
        tokens = estimated
        if estimated <= COUNTED_SHARE * context:
            passages = await self.passages(scope.documents)
            tokens = await count(lease, build_messages(passages, turn, words)) - other
        budget = decide(document_tokens=tokens, context_tokens=context, other_tokens=other)
        if budget.passage_tokens < SMALLEST_ROOM:
            raise _too_long(lease, context, other)
        if budget.mode == "whole":
            messages = build_messages(passages, turn, words) if passages else None
            return self._grounded("whole", messages, passages, budget, scope, notes)
        intent = classify(turn.question)
        if intent != "lookup":
            everything = passages or await self.passages(scope.documents)
            reader = PartsReader(lease, turn.question, intent, words, tell)
            parts = len(parts_of(everything, await reader.room()))
            if parts <= MAX_PARTS:
                return await self._read_all(reader, everything, budget, scope, notes, intent)
            notes.append(
                f"To {'count' if intent == 'count' else 'sum up'}, {parts:,} parts would have to"
                f" be read; the limit is {MAX_PARTS}. The answer comes from a search."
            )
        if scope.choice == "first":
            chosen = await self.first(lease, scope, turn, budget, other)
            if chosen:
                messages = build_messages(chosen, turn, words)
                return self._grounded("first", messages, chosen, budget, scope, notes)
        chosen = await self._search(lease, scope, turn, budget, notes, tell)
        found = build_messages(chosen, turn, words, is_last=True) if chosen else None
        return self._grounded("searched", found, chosen, budget, scope, notes)

    async def passages(self, documents: Sequence[StoredDocument]) -> list[StoredPassage]:
        """Return every passage of documents in order."""
        found: list[StoredPassage] = []
        for document in documents:
            read = partial(index.passages_of, document_id=document.id)
            found.extend(await self._database.read(read))
        return found

    async def first(
        self, lease: Lease, scope: Scope, turn: Turn, budget: Budget, other: int
    ) -> list[StoredPassage]:
        """Return the passages from the beginning that fit, whole pages where there are pages."""
        room = budget.passage_tokens
        while room > 0:
            chosen = fill(await self.beginning(scope.documents, room), room)
            if not chosen:
                return []
            used = await count(lease, build_messages(chosen, turn, scope.page_words)) - other
            if used <= budget.passage_tokens:
                return chosen
            room = min(room - 1, int(room * budget.passage_tokens / used))
        return []

    async def beginning(
        self, documents: Sequence[StoredDocument], room: int
    ) -> list[StoredPassage]:
        """Return the passages from the beginning, about as many as have so many tokens."""
        found: list[StoredPassage] = []
        for document in documents:
            found.extend(
                await self._database.read(partial(index.passages_of, document_id=document.id))
            )
            if sum(estimate_tokens(stored.passage.text) for stored in found) > room:
                break
        return found

    async def _search(
        self,
        lease: Lease,
        scope: Scope,
        turn: Turn,
        budget: Budget,
        notes: list[str],
        tell: Phase,
    ) -> list[StoredPassage]:
        """Return the passages for a question that fit, counted by the model's own tokenizer."""
        best = await self._searching.rank(scope.documents, turn, notes, tell)
        room = budget.passage_tokens
        empty = await count(lease, build_messages([], turn, scope.page_words))
        while True:
            chosen = await self._database.read(partial(choose, ranked=best, budget_tokens=room))
            if not chosen:
                return []
            used = await count(lease, build_messages(chosen, turn, scope.page_words)) - empty
            if used <= budget.free_tokens:
                return chosen
            room = min(room - 1, int(room * budget.passage_tokens / used))

    async def _read_all(
        self,
        reader: PartsReader,
        passages: list[StoredPassage],
        budget: Budget,
        scope: Scope,
        notes: list[str],
        intent: Literal["count", "summary"],
    ) -> Grounded:
        found = await reader.read(passages)
        notes += found.said
        if not found.lines:
            return self._grounded("all", None, passages, budget, scope, notes)
        room = budget.free_tokens
        if intent == "summary":
            found = await reader.condense(found, room)
        messages, used = await reader.messages(found, len(passages), room)
        if used < len(found.lines):
            notes.append(
                f"{len(found.lines):,} notes were taken; the answer was written from the first"
                f" {used:,}, and from their count."
            )
        return self._grounded("all", messages, passages, budget, scope, notes)

    @staticmethod
    def _grounded(
        mode: Mode,
        messages: Messages | None,
        passages: Sequence[StoredPassage],
        budget: Budget,
        scope: Scope,
        notes: list[str],
    ) -> Grounded:
        return Grounded(
            mode=mode,
            messages=messages,
            passages=tuple(passages),
            budget=budget,
            documents={document.id: document for document in scope.documents},
            says=say_used(mode, budget, passages, scope.documents),
            notes=tuple(notes),
        )


def fill(passages: Sequence[StoredPassage], room_tokens: int) -> list[StoredPassage]:
    """Return passages from the beginning that fit; a page that does not fit whole is left out."""
    chosen: list[StoredPassage] = []
    for stored in passages:
        room_tokens -= estimate_tokens(stored.passage.text)
        if room_tokens < 0:
            cut = (stored.document_id, stored.passage.first_page)
            whole = [s for s in chosen if (s.document_id, s.passage.last_page) != cut]
            return whole or chosen
        chosen.append(stored)
    return chosen


def conclude(grounded: Grounded, text: str) -> tuple[str, Grounds]:
    """Return an answer with the citations that hold, and what it rests on."""
    checked = check(text, [stored.passage.text for stored in grounded.passages])
    citations = []
    for citation in checked.citations:
        stored = grounded.passages[citation.place]
        document = grounded.documents[stored.document_id]
        start = stored.passage.start + citation.start
        citations.append(
            DocumentCitation(
                number=citation.number,
                document_id=stored.document_id,
                file=stored.file,
                page=page_at(document.pages, start),
                page_word=document.page_word,
                quote=citation.quote,
                start=start,
                end=stored.passage.start + citation.end,
            )
        )
    budget = grounded.budget
    return checked.text, Grounds(
        mode=grounded.mode,
        says=grounded.says,
        citations=tuple(citations),
        dropped=checked.dropped,
        is_absent=checked.is_absent,
        document_tokens=budget.document_tokens,
        free_tokens=budget.free_tokens,
        passages=len(grounded.passages),
        files=len({stored.document_id for stored in grounded.passages}),
        notes=grounded.notes,
    )


def page_at(pages: Sequence[PageSpan], at: int) -> int:
    """Return the number of the page that a character of the text is on."""
    place = bisect_right(pages, at, key=lambda span: span.start) - 1
    return pages[place].number if place >= 0 else 1


def _unread(documents: Sequence[StoredDocument]) -> list[str]:
    return [
        f"“{document.name}” is only pictures; its text has not been recognised."
        for document in documents
        if document.scan_pages and not document.passages
    ]


def _too_long(lease: Lease, context: int, other: int) -> AppError:
    return AppError(
        "context_length_exceeded",
        f"The context of {lease.ref} has {context:,} tokens; the question, what was said before"
        f" and the instructions alone take {other:,}.",
        "Ask a shorter question, begin a new chat, or load the model with a larger context.",
        detail={"context_tokens": context, "other_tokens": other},
    )
