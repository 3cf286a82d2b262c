"""The documents part of the `Client` seam, reached as `client.documents`.

Two bodies exist, `client.http_documents.HttpDocuments` and
`tests/doubles/documents.py:FakeDocuments`; one contract test runs on both. Every method raises
`AppError`. What changes is told by `Changed` with the topics "documents", "document",
"collections", "collection" and "chat_documents".
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Sequence
from typing import Final, Literal, Protocol

from freehold.errors import AppError
from freehold.wire_documents import (
    ChatDocuments,
    Choice,
    Collection,
    CollectionFile,
    DocumentAbilities,
    DocumentAnswer,
    DocumentFit,
    DocumentInfo,
    DocumentQuestion,
    DocumentText,
    DocumentUse,
)

WAIT_S: Final = 20


class DocumentsClient(Protocol):
    """What a server knows of documents."""

    async def add(self, path: str) -> DocumentInfo:
        """Begin to read the file at a full path on the server's machine."""
        ...

    async def upload(self, name: str, content: AsyncIterable[bytes]) -> DocumentInfo:
        """Send a file's bytes and begin to read it, when it is not on the server's machine."""
        ...

    async def all(self) -> tuple[DocumentInfo, ...]:
        """Return every document that belongs to no collection, the newest first."""
        ...

    async def get(self, document_id: str, *, wait_s: int = 0) -> DocumentInfo:
        """Return a document, waiting a while for the end of its reading."""
        ...

    async def remove(self, document_id: str) -> None:
        """Forget a document."""
        ...

    async def text(
        self, document_id: str, *, start: int = 0, end: int | None = None
    ) -> DocumentText:
        """Return a document's text, or characters `start` up to `end` of it."""
        ...

    async def page_image(
        self, document_id: str, page: int, *, start: int = 0, end: int = 0, width: int = 1200
    ) -> bytes:
        """Return a picture (PNG) of a page with characters `start` up to `end` boxed.

        Only where `DocumentInfo.has_pages`; width: in pixels, 200 to 2400. Characters on another
        page box nothing. The PNG's text entry "mark" says how far down the page the boxes begin
        and end, as two shares of its height.
        """
        ...

    async def recognise(self, document_id: str) -> DocumentInfo:
        """Begin to recognise the text of a scan with tesseract; follow it like a reading."""
        ...

    async def abilities(self) -> DocumentAbilities:
        """Return what can be done with documents on this machine, and the limits."""
        ...

    async def choose_model(
        self, role: Literal["embedder", "reranker"], ref: str
    ) -> DocumentAbilities:
        """Use another installed model for the search; "" is the default."""
        ...

    # questions without a chat

    async def ask(
        self,
        document_ids: Sequence[str],
        question: str,
        *,
        model: str = "",
        collections: Sequence[str] = (),
    ) -> DocumentQuestion:
        """Begin to answer a question."""
        ...

    async def question(self, question_id: str, *, wait_s: int = 0) -> DocumentQuestion:
        """Return a question, waiting a while for its answer."""
        ...

    async def stop(self, question_id: str) -> None:
        """End a question's answer."""
        ...

    # documents of a chat

    async def of_chat(self, chat_id: str) -> ChatDocuments:
        """Return what a chat is asked about."""
        ...

    async def set_chat(
        self,
        chat_id: str,
        *,
        documents: Sequence[str] | None = None,
        collections: Sequence[str] | None = None,
        choice: Choice | None = None,
    ) -> ChatDocuments:
        """Change what is given of a chat's documents; its replies then answer from them."""
        ...

    async def uses(self) -> tuple[DocumentUse, ...]:
        """Return which chats are asked about which documents and collections."""
        ...

    async def fit(self, chat_id: str) -> DocumentFit:
        """Return whether a chat's documents fit its model's context, with the numbers."""
        ...

    # collections

    async def collections(self) -> tuple[Collection, ...]:
        """Return every collection, by name."""
        ...

    async def collection(self, collection_id: str) -> Collection:
        """Return one collection as it is now."""
        ...

    async def collection_files(
        self, collection_id: str, *, limit: int = 500, offset: int = 0
    ) -> tuple[CollectionFile, ...]:
        """Return a collection's files: those that failed first, then by path."""
        ...

    async def create_collection(self, name: str, sources: Sequence[str] = ()) -> Collection:
        """Make a collection of files and folders (full paths); indexing begins at once."""
        ...

    async def update_collection(
        self,
        collection_id: str,
        *,
        name: str | None = None,
        sources: Sequence[str] | None = None,
        paused: bool | None = None,
    ) -> Collection:
        """Change what is given; `paused` stops the indexing or lets it go on."""
        ...

    async def rebuild_collection(self, collection_id: str) -> Collection:
        """Read every file of a collection again and make its index anew."""
        ...

    async def remove_collection(self, collection_id: str) -> None:
        """Delete a collection with its text and vectors; the files themselves stay."""
        ...


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
