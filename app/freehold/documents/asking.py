"""Answers one question from stored documents: whole or searched, fenced, its citations checked."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from freehold.documents import index
from freehold.documents.budget import Budget, decide
from freehold.documents.citations import Checked, check
from freehold.documents.embedding import embed_documents, embed_texts, identity
from freehold.documents.index import StoredDocument, StoredPassage
from freehold.documents.prompt import build_messages
from freehold.documents.retrieval import choose, search
from freehold.engine.interface import EngineSource, Lease
from freehold.engine.protocol import Delta, Done, Failed, PrefillProgress
from freehold.engine.requests import ChatPrompt, GenerateRequest, SamplingParams
from freehold.errors import AppError
from freehold.storage.connection import Database
from freehold.wire_documents import DocumentAnswer, DocumentCitation

log = logging.getLogger(__name__)

# Counting more text than could ever fit would only take time.
COUNTED_SHARE: Final = 3
# What takes longer to embed is embedded in the background, for the next question.
EMBEDDING_S: Final = 20.0

Phase = Callable[[str, int, int], None]


class Answering:
    """Where answers come from."""

    def __init__(
        self,
        database: Database,
        engines: EngineSource,
        choose_embedder: Callable[[], Awaitable[str | None]],
    ) -> None:
        """Keep where things are; `choose_embedder` gives None when there is no embedding model."""
        self.database = database
        self.engines = engines
        self.choose_embedder = choose_embedder
        self._embedding: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """End what is embedded in the background."""
        if self._embedding is not None:
            self._embedding.cancel()
            await asyncio.gather(self._embedding, return_exceptions=True)

    def _embed_later(self, ref: str, ids: list[str]) -> None:
        """Go on embedding in the background, one set of documents at a time."""
        if self._embedding is None or self._embedding.done():
            work = self._embed(ref, ids)
            self._embedding = asyncio.create_task(work, name="documents-embedding")

    async def _embed(self, ref: str, ids: list[str]) -> None:
        try:
            async with self.engines.lease(ref) as lease:
                await embed_documents(self.database, lease, ids, lambda _done, _total: None)
        except AppError as error:
            log.warning("documents could not be embedded: %s", error.message)

    async def answer(
        self, document_ids: Sequence[str], question: str, model: str, tell: Phase
    ) -> DocumentAnswer:
        """Return the answer to a question from documents.

        Raises: AppError `not_found` for an unknown document, or what the engine raises.
        """
        documents = [await self._document(item) for item in document_ids]
        tell("waiting", 0, 0)
        async with self.engines.lease(model) as lease:
            return await self._answer(lease, documents, question, tell)

    async def _answer(
        self, lease: Lease, documents: list[StoredDocument], question: str, tell: Phase
    ) -> DocumentAnswer:
        words: dict[str, str] = {item.id: item.page_word for item in documents}
        other = await _count(lease, build_messages([], question, words))
        context = lease.info.context_tokens
        estimated = sum(document.estimated_tokens for document in documents)
        passages: list[StoredPassage] = []
        tokens = estimated
        if estimated <= COUNTED_SHARE * context:
            for document in documents:
                read = partial(index.passages_of, document_id=document.id)
                passages.extend(await self.database.read(read))
            tokens = await _count(lease, build_messages(passages, question, words)) - other
        budget = decide(document_tokens=tokens, context_tokens=context, other_tokens=other)
        if budget.passage_tokens < 64:
            raise AppError(
                "context_length_exceeded",
                f"The context of {lease.ref} has {context:,} tokens; the question and the"
                f" instructions alone take {other:,}.",
                "Ask a shorter question, or load the model with a larger context.",
                detail={"context_tokens": context, "other_tokens": other},
            )
        notes: list[str] = []
        if budget.mode == "searched":
            passages = await self._search(documents, question, budget, lease, words, notes, tell)
        if not passages:
            return _nothing_found(lease.ref, budget, notes)
        text, end = await _generate(lease, build_messages(passages, question, words), budget, tell)
        checked = check(text, [stored.passage.text for stored in passages])
        return _result(lease.ref, budget, passages, words, checked, end, notes)

    async def _document(self, document_id: str) -> StoredDocument:
        found = await self.database.read(partial(index.find, document_id=document_id))
        if found is None:
            raise AppError("not_found", "That document is not here.", "Add its file again.")
        return found

    async def _search(
        self,
        documents: list[StoredDocument],
        question: str,
        budget: Budget,
        lease: Lease,
        words: Mapping[str, str],
        notes: list[str],
        tell: Phase,
    ) -> list[StoredPassage]:
        """Return the passages for a question that fit, counted by the model's own tokenizer."""
        ids = [document.id for document in documents]
        vector, embedder = None, ""
        ref = await self.choose_embedder()
        if ref is None:
            notes.append("No embedding model is here; the search went by words alone.")
        else:
            async with self.engines.lease(ref) as embedding:
                tell_embedding = partial(tell, "embedding")
                left = await embed_documents(
                    self.database, embedding, ids, tell_embedding, limit_s=EMBEDDING_S
                )
                if not left:
                    vector = (await embed_texts(embedding, [question]))[0]
                    embedder = identity(embedding)
            if left:
                # Some vectors would only lift the passages that happen to have one.
                notes.append(
                    f"{left:,} passages are still being embedded; the search went by words alone."
                )
                self._embed_later(ref, ids)

        def ranked(connection: Any) -> list[int]:
            return search(connection, ids, question, query_vector=vector, embedder=embedder)

        best = await self.database.read(ranked)
        room = budget.passage_tokens
        while True:
            chosen = await self.database.read(partial(choose, ranked=best, budget_tokens=room))
            if not chosen:
                return []
            empty = build_messages([], question, words)
            used = await _count(lease, build_messages(chosen, question, words))
            used -= await _count(lease, empty)
            if used <= budget.free_tokens:
                return chosen
            room = min(room - 1, int(room * budget.passage_tokens / used))


async def _count(lease: Lease, messages: tuple[dict[str, Any], ...]) -> int:
    return len((await lease.engine.tokenize(chat=_prompt(messages))).tokens)


def _prompt(messages: tuple[dict[str, Any], ...]) -> ChatPrompt:
    return ChatPrompt(messages=messages, enable_thinking=False)


async def _generate(
    lease: Lease, messages: tuple[dict[str, Any], ...], budget: Budget, tell: Phase
) -> tuple[str, Done]:
    """Return what the model wrote, greedily; the same question gives the same answer."""
    request = GenerateRequest(
        id=f"documents-{secrets.token_hex(8)}",
        prompt=_prompt(messages),
        key="documents",
        priority_key="window",
        max_tokens=budget.answer_tokens,
        sampling=SamplingParams(temperature=0.0, seed=0),
    )
    parts: list[str] = []
    written = 0
    async for event in lease.engine.generate(request):
        match event:
            case PrefillProgress(done=done, total=total):
                tell("prefill", done, total)
            case Delta():
                parts.append(event.content)
                written += event.tokens
                tell("answering", written, budget.answer_tokens)
            case Failed(error=error):
                raise AppError(error.code, error.message, error.hint, retryable=error.retryable)
            case Done():
                return "".join(parts), event
    raise AppError("interrupted", "The answer broke off.", "Ask again.", retryable=True)


def _nothing_found(model: str, budget: Budget, notes: list[str]) -> DocumentAnswer:
    return DocumentAnswer(
        answer="Not in the documents.",
        mode=budget.mode,
        model=model,
        is_absent=True,
        document_tokens=budget.document_tokens,
        free_tokens=budget.free_tokens,
        notes=tuple(notes),
    )


def _result(
    model: str,
    budget: Budget,
    passages: list[StoredPassage],
    words: Mapping[str, str],
    checked: Checked,
    end: Done,
    notes: list[str],
) -> DocumentAnswer:
    citations = []
    for citation in checked.citations:
        stored = passages[citation.place]
        citations.append(
            DocumentCitation(
                number=citation.number,
                document_id=stored.document_id,
                file=stored.file,
                page=stored.passage.first_page,
                page_word=words.get(stored.document_id, "page"),
                quote=citation.quote,
                start=stored.passage.start + citation.start,
                end=stored.passage.start + citation.end,
            )
        )
    return DocumentAnswer(
        answer=checked.text,
        mode=budget.mode,
        model=model,
        is_absent=checked.is_absent,
        citations=tuple(citations),
        dropped=checked.dropped,
        document_tokens=budget.document_tokens,
        free_tokens=budget.free_tokens,
        passages=len(passages),
        files=len({stored.document_id for stored in passages}),
        prompt_tokens=end.usage.prompt_tokens,
        cached_tokens=end.usage.cached_tokens,
        first_token_s=end.timings.first_token_s,
        is_cut_short=end.finish_reason == "length",
        notes=tuple(notes),
    )
