"""Answers one question from stored documents without a chat."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from freehold.documents.generation import Phase, write
from freehold.documents.grounding import ABSENT, Grounded, Grounding, conclude
from freehold.documents.prompt import Turn
from freehold.documents.scopes import scope_from
from freehold.engine.interface import EngineSource
from freehold.engine.protocol import Done
from freehold.storage.connection import Database
from freehold.wire_documents import DocumentAnswer


class Asking:
    """Where answers come from."""

    def __init__(self, database: Database, engines: EngineSource, grounding: Grounding) -> None:
        self._database = database
        self._engines = engines
        self._grounding = grounding

    async def answer(
        self,
        document_ids: Sequence[str],
        collection_ids: Sequence[str],
        question: str,
        model: str,
        tell: Phase,
    ) -> DocumentAnswer:
        """Return the answer to a question from documents.

        Raises: AppError `not_found` for an unknown document, or what the engine raises.
        """
        scope = await self._database.read(
            partial(scope_from, document_ids=document_ids, collection_ids=collection_ids)
        )
        tell("waiting", 0, 0)
        async with self._engines.lease(model) as lease:
            grounded = await self._grounding.ground(lease, scope, Turn(question=question), tell)
            if grounded.messages is None:
                return _answer(grounded, ABSENT, lease.ref, None)
            text, end = await write(lease, grounded.messages, grounded.budget.answer_tokens, tell)
            return await asyncio.to_thread(_answer, grounded, text, lease.ref, end)


def _answer(grounded: Grounded, text: str, model: str, end: Done | None) -> DocumentAnswer:
    answer, grounds = conclude(grounded, text)
    return DocumentAnswer(
        answer=answer,
        mode=grounds.mode,
        model=model,
        is_absent=grounds.is_absent,
        citations=grounds.citations,
        dropped=grounds.dropped,
        document_tokens=grounds.document_tokens,
        free_tokens=grounds.free_tokens,
        passages=grounds.passages,
        files=grounds.files,
        prompt_tokens=end.usage.prompt_tokens if end else 0,
        cached_tokens=end.usage.cached_tokens if end else 0,
        first_token_s=end.timings.first_token_s if end else 0.0,
        is_cut_short=end is not None and end.finish_reason == "length",
        notes=grounds.notes,
        says=grounds.says,
    )
