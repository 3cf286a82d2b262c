"""Finding passages: words, meaning, and a reranker where one is chosen."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

from freehold.documents import index
from freehold.documents.embedding import embed_documents, embed_texts, identity
from freehold.documents.generation import Phase
from freehold.documents.prompt import Turn
from freehold.documents.records import StoredDocument
from freehold.documents.reranking import RERANKED, rerank
from freehold.documents.retrieval import WANTED, search
from freehold.documents.stemming import query_stems
from freehold.documents.vectors import VectorCache
from freehold.engine.interface import EngineSource
from freehold.errors import AppError
from freehold.storage.connection import Database

log = logging.getLogger(__name__)

# What takes longer to embed is embedded in the background, for the next question.
EMBEDDING_S: Final = 20.0
# A question of fewer telling words is searched together with the one before it.
FEW_WORDS: Final = 4

Choose = Callable[[], Awaitable[str | None]]


def search_text(turn: Turn) -> str:
    """Return what to search for; a short follow-up takes the question before it along."""
    if len(query_stems(turn.question)) < FEW_WORDS and turn.earlier_question:
        return f"{turn.question} {turn.earlier_question}"
    return turn.question


def foreign_to(documents: Sequence[StoredDocument], ref: str) -> frozenset[str]:
    """Return the documents of collections whose vectors are of another embedder than `ref`.

    They are many: a person decides when they are made anew. Loose documents follow at once.
    """
    return frozenset(
        document.id
        for document in documents
        if document.collection_id is not None
        and document.embedder is not None
        and not document.embedder.startswith(f"{ref}|")
    )


class Searching:
    """Ranks passages of documents for a question."""

    def __init__(
        self,
        database: Database,
        engines: EngineSource,
        choose_embedder: Choose,
        choose_reranker: Choose,
    ) -> None:
        """Keep where things are; the choices give None where there is no such model."""
        self._database = database
        self._engines = engines
        self._choose_embedder = choose_embedder
        self._choose_reranker = choose_reranker
        self._cache = VectorCache()
        self._embedding: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """End what is embedded in the background."""
        if self._embedding is not None:
            self._embedding.cancel()
            await asyncio.gather(self._embedding, return_exceptions=True)

    async def rank(
        self, documents: Sequence[StoredDocument], turn: Turn, notes: list[str], tell: Phase
    ) -> list[int]:
        """Return the ids of the best passages, best first; `notes` hears of what was left out."""
        ids = [document.id for document in documents]
        text = search_text(turn)
        vector, embedder = None, ""
        ref = await self._choose_embedder()
        if ref is None:
            notes.append("No embedding model is here; the search went by words alone.")
        else:
            async with self._engines.lease(ref) as lease:
                embedder = identity(lease)
                foreign = foreign_to(documents, ref)
                own = [item for item in ids if item not in foreign]
                left = await embed_documents(
                    self._database, lease, own, partial(tell, "embedding"), limit_s=EMBEDDING_S
                )
                if foreign:
                    notes.append(
                        f"{len(foreign):,} files of a collection were indexed with another"
                        " embedding model; the search went by words alone. Rebuild the collection."
                    )
                elif not left:
                    vector = (await embed_texts(lease, [text]))[0]
            if left:
                # Some vectors would only lift the passages that happen to have one.
                notes.append(
                    f"{left:,} passages are still being embedded; the search went by words alone."
                )
                self._embed_later(ref, own)
        reranker = await self._choose_reranker()

        def ranked(connection: Any) -> list[int]:
            return search(
                connection,
                ids,
                text,
                query_vector=vector,
                embedder=embedder,
                limit=WANTED if reranker is None else RERANKED,
                cache=self._cache,
            )

        best = await self._database.read(ranked)
        if reranker is None or len(best) < 2:
            return best[:WANTED]
        return await self._rerank(reranker, best, text, notes)

    async def _rerank(self, ref: str, best: list[int], text: str, notes: list[str]) -> list[int]:
        found = await self._database.read(partial(index.passages, passage_ids=best))
        texts = [found[item].passage.text if item in found else "" for item in best]
        try:
            async with self._engines.lease(ref) as lease:
                order = await rerank(lease, text, texts)
        except AppError as error:
            log.warning("the reranker %s failed: %s", ref, error.message)
            notes.append(f"The reranker {ref} did not work: {error.message}")
            return best[:WANTED]
        return [best[place] for place in order][:WANTED]

    def _embed_later(self, ref: str, ids: list[str]) -> None:
        """Go on embedding in the background, one set of documents at a time."""
        if self._embedding is None or self._embedding.done():
            work = self._embed(ref, ids)
            self._embedding = asyncio.create_task(work, name="documents-embedding")

    async def _embed(self, ref: str, ids: list[str]) -> None:
        try:
            async with self._engines.lease(ref) as lease:
                await embed_documents(self._database, lease, ids, lambda _done, _total: None)
        except AppError as error:
            log.warning("documents could not be embedded: %s", error.message)
