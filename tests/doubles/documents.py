"""`DocumentsClient` without a server: files of the disk, answers that a test sets.

    client.documents.answers.append(DocumentAnswer(...))
    client.documents.fail_next("documents.add", AppError(...))

A file that exists is ready at once; a question is answered at once.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from freehold.errors import AppError
from freehold.wire import ErrorInfo
from freehold.wire_documents import DocumentAnswer, DocumentInfo, DocumentQuestion


class FakeDocuments:
    """The documents part of a server in memory."""

    def __init__(
        self,
        enter: Callable[..., Awaitable[None]],
        fail_next: Callable[[str, AppError], None],
    ) -> None:
        self.answers: list[DocumentAnswer] = []
        self.known: dict[str, DocumentInfo] = {}
        self.questions: dict[str, DocumentQuestion] = {}
        self.fail_next = fail_next
        self._enter = enter
        self._ids = itertools.count(1)

    async def add(self, path: str) -> DocumentInfo:
        await self._enter("documents.add", path=path)
        file = Path(path)
        if not file.is_absolute():
            raise AppError("invalid_request", "A full path is needed.", "Begin it with a slash.")
        info = DocumentInfo(id=f"document-{next(self._ids)}", name=file.name, phase="reading")
        if file.is_file():
            text = file.read_text(encoding="utf-8", errors="replace")
            ready = DocumentInfo(
                id=info.id,
                name=info.name,
                phase="ready",
                kind="text",
                done=1,
                total=1,
                page_count=1,
                tokens=max(1, len(text) // 4),
            )
        else:
            error = ErrorInfo(
                code="not_found", message=f"There is no file “{file.name}”.", hint="Look at it."
            )
            ready = DocumentInfo(id=info.id, name=info.name, phase="failed", error=error)
        self.known[info.id] = ready
        return info

    async def all(self) -> tuple[DocumentInfo, ...]:
        await self._enter("documents.all")
        return tuple(self.known.values())

    async def get(self, document_id: str, *, wait_s: int = 0) -> DocumentInfo:
        await self._enter("documents.get", document_id=document_id)
        return self._find(document_id)

    async def remove(self, document_id: str) -> None:
        await self._enter("documents.remove", document_id=document_id)
        self.known.pop(document_id, None)

    async def ask(
        self, document_ids: Sequence[str], question: str, *, model: str = ""
    ) -> DocumentQuestion:
        await self._enter(
            "documents.ask", documents=tuple(document_ids), question=question, model=model
        )
        if not question.strip() or not document_ids:
            raise AppError("invalid_request", "Nothing is asked.", "Ask something.")
        for document_id in document_ids:
            if self._find(document_id).phase != "ready":
                raise AppError("conflict", "It is not ready.", "Wait.")
        answer = self.answers.pop(0) if self.answers else _echo(question)
        asked = DocumentQuestion(id=f"question-{next(self._ids)}", phase="waiting")
        self.questions[asked.id] = DocumentQuestion(id=asked.id, phase="ready", answer=answer)
        return asked

    async def question(self, question_id: str, *, wait_s: int = 0) -> DocumentQuestion:
        await self._enter("documents.question", question_id=question_id)
        if question_id not in self.questions:
            raise AppError("not_found", "That question is not here.", "Ask it again.")
        return self.questions[question_id]

    async def stop(self, question_id: str) -> None:
        await self._enter("documents.stop", question_id=question_id)
        self.questions.pop(question_id, None)

    def _find(self, document_id: str) -> DocumentInfo:
        if document_id not in self.known:
            raise AppError("not_found", "That document is not here.", "Add its file again.")
        return self.known[document_id]


def _echo(question: str) -> DocumentAnswer:
    return DocumentAnswer(answer=question, mode="whole", model="tiny", is_absent=False, files=1)
