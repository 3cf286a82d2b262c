"""The documents part of the `Client` seam, reached as `client.documents`.

Two bodies exist, `HttpDocuments` here and `tests/doubles/documents.py:FakeDocuments`; one contract
test runs on both. Every method raises `AppError`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar

from freehold.client.calls import Call, Decode
from freehold.client.http_library import path_part
from freehold.errors import AppError
from freehold.wire_documents import DocumentAnswer, DocumentInfo, DocumentQuestion

WAIT_S: Final = 20

T = TypeVar("T")


class DocumentsClient(Protocol):
    """What a server knows of documents."""

    async def add(self, path: str) -> DocumentInfo:
        """Begin to read the file at a full path on the server's machine."""
        ...

    async def all(self) -> tuple[DocumentInfo, ...]:
        """Return every document."""
        ...

    async def get(self, document_id: str, *, wait_s: int = 0) -> DocumentInfo:
        """Return a document, waiting a while for the end of its reading."""
        ...

    async def remove(self, document_id: str) -> None:
        """Forget a document."""
        ...

    async def ask(
        self, document_ids: Sequence[str], question: str, *, model: str = ""
    ) -> DocumentQuestion:
        """Begin to answer a question."""
        ...

    async def question(self, question_id: str, *, wait_s: int = 0) -> DocumentQuestion:
        """Return a question, waiting a while for its answer."""
        ...

    async def stop(self, question_id: str) -> None:
        """End a question's answer."""
        ...


class HttpDocuments:
    """`DocumentsClient` over the connection of an `HttpClient`."""

    def __init__(self, call: Call, decode: Decode) -> None:
        self._call = call
        self._decode = decode

    async def add(self, path: str) -> DocumentInfo:
        """Begin to read the file at a full path on the server's machine."""
        return self._decode(await self._call("POST", "/documents", {"path": path}), DocumentInfo)

    async def all(self) -> tuple[DocumentInfo, ...]:
        """Return every document."""
        response = await self._call("GET", "/documents", repeat=True)
        return self._decode(response, tuple[DocumentInfo, ...])

    async def get(self, document_id: str, *, wait_s: int = 0) -> DocumentInfo:
        """Return a document, waiting a while for the end of its reading."""
        path = f"/documents/{path_part(document_id)}"
        params = {"wait_s": str(wait_s)}
        return self._decode(await self._call("GET", path, params=params, repeat=True), DocumentInfo)

    async def remove(self, document_id: str) -> None:
        """Forget a document."""
        await self._call("DELETE", f"/documents/{path_part(document_id)}", repeat=True)

    async def ask(
        self, document_ids: Sequence[str], question: str, *, model: str = ""
    ) -> DocumentQuestion:
        """Begin to answer a question."""
        body = {"documents": list(document_ids), "question": question, "model": model}
        return self._decode(
            await self._call("POST", "/documents/questions", body), DocumentQuestion
        )

    async def question(self, question_id: str, *, wait_s: int = 0) -> DocumentQuestion:
        """Return a question, waiting a while for its answer."""
        path = f"/documents/questions/{path_part(question_id)}"
        params = {"wait_s": str(wait_s)}
        return self._decode(
            await self._call("GET", path, params=params, repeat=True), DocumentQuestion
        )

    async def stop(self, question_id: str) -> None:
        """End a question's answer."""
        await self._call("DELETE", f"/documents/questions/{path_part(question_id)}", repeat=True)


async def until_read(
    client: DocumentsClient, document_id: str, tell: Callable[[DocumentInfo], None]
) -> DocumentInfo:
    """Return a document once it is ready; raises AppError when it could not be read."""
    while True:
        info = await client.get(document_id, wait_s=WAIT_S)
        tell(info)
        if info.error is not None:
            error = info.error
            raise AppError(error.code, error.message, error.hint, detail=error.detail)
        if info.phase == "ready":
            return info


async def until_answered(
    client: DocumentsClient, question_id: str, tell: Callable[[DocumentQuestion], None]
) -> DocumentAnswer:
    """Return the answer to a question once it is there; raises AppError when it failed."""
    while True:
        question = await client.question(question_id, wait_s=WAIT_S)
        tell(question)
        if question.error is not None:
            error = question.error
            raise AppError(error.code, error.message, error.hint, detail=error.detail)
        if question.answer is not None:
            return question.answer
