"""Questions about documents without a chat: asked, followed, stopped."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from freehold.documents.asking import Asking
from freehold.documents.desk import DocumentDesk
from freehold.documents.limits import MAX_FILES
from freehold.documents.watched import Watched, error_info
from freehold.errors import AppError, internal
from freehold.wire_documents import DocumentQuestion

log = logging.getLogger(__name__)

KEPT_QUESTIONS: Final = 64
MAX_QUESTION: Final = 8000


class QuestionDesk:
    """Answers questions in the background."""

    def __init__(
        self,
        documents: DocumentDesk,
        asking: Asking,
        choose_model: Callable[[str | None], Awaitable[str]],
    ) -> None:
        self._documents = documents
        self._asking = asking
        self._choose_model = choose_model
        self._questions: dict[str, Watched[DocumentQuestion]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(
        self,
        document_ids: Sequence[str],
        question: str,
        model: str = "",
        collection_ids: Sequence[str] = (),
    ) -> DocumentQuestion:
        """Begin to answer; `question` tells how it goes.

        Raises: AppError `invalid_request`, `not_found`, `model_not_found`.
        """
        if not question.strip() or len(question) > MAX_QUESTION:
            raise AppError(
                "invalid_request",
                f"A question has 1 to {MAX_QUESTION:,} characters.",
                "Write one, then ask.",
                detail={"param": "question"},
            )
        ids = tuple(dict.fromkeys(document_ids))
        sets = tuple(dict.fromkeys(collection_ids))
        if not (ids or sets) or len(ids) > MAX_FILES:
            raise AppError("invalid_request", "No document is named.", f"Name one to {MAX_FILES}.")
        for document_id in ids:
            info = await self._documents.document(document_id)
            if info.phase != "ready":
                raise AppError(
                    "conflict",
                    f"“{info.name}” is not ready to be asked about.",
                    "Wait until it has been read.",
                    retryable=info.phase == "reading",
                )
        ref = await self._choose_model(model or None)
        self._forget()
        question_id = secrets.token_hex(12)
        watched = Watched(DocumentQuestion(id=question_id, phase="waiting"))
        self._questions[question_id] = watched
        task = asyncio.create_task(
            self._answer(ids, sets, question, ref, watched), name=f"question-{question_id}"
        )
        self._tasks[question_id] = task
        task.add_done_callback(lambda _task: self._tasks.pop(question_id, None))
        return watched.value

    async def question(self, question_id: str, wait_s: float = 0.0) -> DocumentQuestion:
        """Return a question, waiting a while for its answer.

        Raises: AppError `not_found`.
        """
        watched = self._questions.get(question_id)
        if watched is None:
            raise AppError("not_found", "That question is not here.", "Ask it again.")
        return await watched.wait(wait_s)

    async def stop(self, question_id: str) -> None:
        """End a question's answer."""
        task = self._tasks.get(question_id)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._questions.pop(question_id, None)

    async def close(self) -> None:
        """End what is under way."""
        for question_id in list(self._tasks):
            await self.stop(question_id)

    def _forget(self) -> None:
        over = [key for key in self._questions if key not in self._tasks]
        for key in over[: max(0, len(self._questions) - KEPT_QUESTIONS + 1)]:
            del self._questions[key]

    async def _answer(
        self,
        ids: tuple[str, ...],
        sets: tuple[str, ...],
        question: str,
        ref: str,
        watched: Watched[DocumentQuestion],
    ) -> None:
        def tell(phase: str, done: int, total: int) -> None:
            watched.change(phase=phase, done=done, total=total)

        try:
            answer = await self._asking.answer(ids, sets, question, ref, tell)
            watched.change(phase="ready", answer=answer)
        except AppError as error:
            watched.change(phase="failed", error=error_info(error))
        except Exception:  # a bug must not leave a question that waits for ever
            log.exception("a question about documents failed")
            watched.change(phase="failed", error=error_info(internal()))
