"""The documents of one server: taken in one by one, kept by what they say, asked about."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import msgspec

from freehold.documents import index, limits
from freehold.documents.asking import Answering
from freehold.documents.index import StoredDocument
from freehold.documents.names import shown_name
from freehold.documents.parsing import parse_file
from freehold.errors import AppError, internal
from freehold.storage.connection import Database
from freehold.wire import ErrorInfo
from freehold.wire_documents import DocumentAnswer, DocumentInfo, DocumentQuestion

log = logging.getLogger(__name__)

PARSERS_AT_ONCE: Final = 2
KEPT_QUESTIONS: Final = 64
MAX_QUESTION: Final = 8000
LONGEST_WAIT_S: Final = 25.0

T = TypeVar("T", bound=DocumentInfo | DocumentQuestion)


class Watched(Generic[T]):
    """A value that somebody may wait on to change."""

    def __init__(self, value: T) -> None:
        self.value: T = value
        self._changed = asyncio.Event()

    def set(self, value: T) -> None:
        """Put a new value and wake who waits."""
        self.value = value
        self._changed.set()
        self._changed = asyncio.Event()

    def change(self, **fields: Any) -> None:
        """Replace some fields."""
        self.set(msgspec.structs.replace(self.value, **fields))

    async def wait(self, wait_s: float) -> T:
        """Return the value once it is an end, or after a while as it is."""
        try:
            async with asyncio.timeout(min(max(0.0, wait_s), LONGEST_WAIT_S)):
                while self.value.phase not in ("ready", "failed"):
                    await self._changed.wait()
        except TimeoutError:
            pass
        return self.value


class DocumentDesk:
    """Takes files in, answers questions, forgets documents."""

    def __init__(
        self,
        database: Database,
        answering: Answering,
        choose_model: Callable[[str | None], Awaitable[str]],
    ) -> None:
        self._database = database
        self._answering = answering
        self._choose_model = choose_model
        self._reading: dict[str, Watched[DocumentInfo]] = {}
        self._questions: dict[str, Watched[DocumentQuestion]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._turn = asyncio.Semaphore(PARSERS_AT_ONCE)

    # --- documents

    async def add(self, path: str) -> DocumentInfo:
        """Begin to read the file at a full path; `document` tells how it goes."""
        if not Path(path).is_absolute() or "\0" in path:
            raise AppError("invalid_request", "A full path is needed.", "Begin it with a slash.")
        known = await self._database.read(index.documents)
        if len(known) + len(self._reading) >= limits.MAX_FILES:
            raise AppError(
                "payload_too_large",
                f"{limits.MAX_FILES} documents are here already; that is the limit.",
                "Remove some, then add this one.",
            )
        document_id = secrets.token_hex(12)
        info = DocumentInfo(id=document_id, name=shown_name(Path(path).name), phase="reading")
        self._reading[document_id] = Watched(info)
        self._begin(document_id, self._read(Path(path), self._reading[document_id]))
        return info

    async def documents(self) -> tuple[DocumentInfo, ...]:
        """Return every document: those being read or failed first, then the newest."""
        stored = await self._database.read(index.documents)
        under_way = tuple(watched.value for watched in self._reading.values())
        return under_way + tuple(_info(document) for document in stored)

    async def document(self, document_id: str, wait_s: float = 0.0) -> DocumentInfo:
        """Return a document, waiting a while for the end of its reading.

        Raises: AppError `not_found`.
        """
        watched = self._reading.get(document_id)
        if watched is not None:
            return await watched.wait(wait_s)
        stored = await self._database.read(partial(index.find, document_id=document_id))
        if stored is None:
            raise AppError("not_found", "That document is not here.", "Add its file again.")
        return _info(stored)

    async def remove(self, document_id: str) -> None:
        """Forget a document: its text, words and vectors are overwritten."""
        await self._end(document_id)
        self._reading.pop(document_id, None)
        await self._database.write(partial(index.remove, document_id=document_id))

    # --- questions

    async def ask(
        self, document_ids: Sequence[str], question: str, model: str = ""
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
        if not ids:
            raise AppError("invalid_request", "No document is named.", "Name at least one.")
        for document_id in ids:
            info = await self.document(document_id)
            if info.phase != "ready":
                raise AppError(
                    "conflict",
                    f"“{info.name}” is not ready to be asked about.",
                    "Wait until it has been read.",
                    retryable=info.phase == "reading",
                )
        ref = await self._choose_model(model or None)
        self._forget_questions()
        question_id = secrets.token_hex(12)
        watched = Watched(DocumentQuestion(id=question_id, phase="waiting"))
        self._questions[question_id] = watched
        self._begin(question_id, self._answer(ids, question, ref, watched))
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
        await self._end(question_id)
        self._questions.pop(question_id, None)

    async def close(self) -> None:
        """End what is under way."""
        for name in list(self._tasks):
            await self._end(name)
        await self._answering.close()

    # --- inside

    def _begin(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=f"document-{name}")
        self._tasks[name] = task
        task.add_done_callback(lambda _task: self._tasks.pop(name, None))

    async def _end(self, name: str) -> None:
        task = self._tasks.get(name)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _forget_questions(self) -> None:
        over = [key for key, item in self._questions.items() if key not in self._tasks]
        for key in over[: max(0, len(self._questions) - KEPT_QUESTIONS + 1)]:
            del self._questions[key]

    async def _read(self, path: Path, watched: Watched[DocumentInfo]) -> None:
        loop = asyncio.get_running_loop()
        wanted = True

        def tell(done: int, total: int) -> None:
            loop.call_soon_threadsafe(partial(watched.change, done=done, total=total))

        try:
            async with self._turn:
                parsed = await asyncio.to_thread(
                    parse_file, path, tell=tell, is_wanted=lambda: wanted
                )
                prepared = await asyncio.to_thread(index.prepare, parsed)
            document_id = watched.value.id
            await self._database.write(
                partial(index.add, document_id=document_id, document=parsed, prepared=prepared)
            )
            stored = await self._database.read(partial(index.find, document_id=document_id))
            assert stored is not None
            self._reading.pop(document_id, None)
            watched.set(_info(stored))
        except AppError as error:
            watched.change(phase="failed", error=_error_info(error))
        except Exception:  # a bug must not leave a file that is read for ever
            log.exception("reading a document failed")
            watched.change(phase="failed", error=_error_info(internal()))
        finally:
            wanted = False

    async def _answer(
        self, ids: tuple[str, ...], question: str, ref: str, watched: Watched[DocumentQuestion]
    ) -> None:
        def tell(phase: str, done: int, total: int) -> None:
            watched.change(phase=phase, done=done, total=total)

        try:
            answer: DocumentAnswer = await self._answering.answer(ids, question, ref, tell)
            watched.change(phase="ready", answer=answer)
        except AppError as error:
            watched.change(phase="failed", error=_error_info(error))
        except Exception:  # a bug must not leave a question that waits for ever
            log.exception("a question about documents failed")
            watched.change(phase="failed", error=_error_info(internal()))


def _info(document: StoredDocument) -> DocumentInfo:
    return DocumentInfo(
        id=document.id,
        name=document.name,
        phase="ready",
        done=len(document.pages),
        total=document.page_count,
        kind=document.kind,
        page_word=document.page_word,
        page_count=document.page_count,
        tokens=document.estimated_tokens,
        notes=document.notes,
    )


def _error_info(error: AppError) -> ErrorInfo:
    return msgspec.convert(msgspec.to_builtins(error.to_dict(), enc_hook=str), ErrorInfo)
