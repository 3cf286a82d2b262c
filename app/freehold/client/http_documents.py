"""`DocumentsClient` over the connection of an `HttpClient`."""

from __future__ import annotations

from collections.abc import AsyncIterable, Sequence
from typing import Literal

from freehold.client.calls import Call, Decode
from freehold.client.http_library import path_part
from freehold.wire_documents import (
    ChatDocuments,
    Choice,
    Collection,
    CollectionFile,
    DocumentAbilities,
    DocumentFit,
    DocumentInfo,
    DocumentQuestion,
    DocumentText,
    DocumentUse,
)


class HttpDocuments:
    """The documents part of a server over HTTP."""

    def __init__(self, call: Call, decode: Decode) -> None:
        self._call = call
        self._decode = decode

    # --- documents

    async def add(self, path: str) -> DocumentInfo:
        """Begin to read the file at a full path on the server's machine."""
        return self._decode(await self._call("POST", "/documents", {"path": path}), DocumentInfo)

    async def upload(self, name: str, content: AsyncIterable[bytes]) -> DocumentInfo:
        """Send a file's bytes and begin to read it."""
        response = await self._call(
            "POST", "/documents/upload", params={"name": name}, content=content
        )
        return self._decode(response, DocumentInfo)

    async def all(self) -> tuple[DocumentInfo, ...]:
        """Return every document that belongs to no collection, the newest first."""
        response = await self._call("GET", "/documents", repeat=True)
        return self._decode(response, tuple[DocumentInfo, ...])

    async def get(self, document_id: str, *, wait_s: int = 0) -> DocumentInfo:
        """Return a document, waiting a while for the end of its reading."""
        response = await self._call(
            "GET", _document(document_id), params={"wait_s": str(wait_s)}, repeat=True
        )
        return self._decode(response, DocumentInfo)

    async def remove(self, document_id: str) -> None:
        """Forget a document."""
        await self._call("DELETE", _document(document_id), repeat=True)

    async def text(
        self, document_id: str, *, start: int = 0, end: int | None = None
    ) -> DocumentText:
        """Return a document's text, or characters `start` up to `end` of it."""
        params = {"start": str(start)} | ({} if end is None else {"end": str(end)})
        response = await self._call(
            "GET", f"{_document(document_id)}/text", params=params, repeat=True
        )
        return self._decode(response, DocumentText)

    async def page_image(
        self, document_id: str, page: int, *, start: int = 0, end: int = 0, width: int = 1200
    ) -> bytes:
        """Return a picture (PNG) of a page with characters `start` up to `end` boxed."""
        params = {"start": str(start), "end": str(end), "width": str(width)}
        path = f"{_document(document_id)}/pages/{page}"
        return (await self._call("GET", path, params=params, repeat=True)).content

    async def recognise(self, document_id: str) -> DocumentInfo:
        """Begin to recognise the text of a scan with tesseract."""
        response = await self._call("POST", f"{_document(document_id)}/recognise")
        return self._decode(response, DocumentInfo)

    async def abilities(self) -> DocumentAbilities:
        """Return what can be done with documents on this machine, and the limits."""
        response = await self._call("GET", "/documents/abilities", repeat=True)
        return self._decode(response, DocumentAbilities)

    async def choose_model(
        self, role: Literal["embedder", "reranker"], ref: str
    ) -> DocumentAbilities:
        """Use another installed model for the search; "" is the default."""
        response = await self._call(
            "PUT", "/documents/abilities", {"role": role, "ref": ref}, repeat=True
        )
        return self._decode(response, DocumentAbilities)

    # --- questions

    async def ask(
        self,
        document_ids: Sequence[str],
        question: str,
        *,
        model: str = "",
        collections: Sequence[str] = (),
    ) -> DocumentQuestion:
        """Begin to answer a question."""
        body = {
            "documents": list(document_ids),
            "question": question,
            "model": model,
            "collections": list(collections),
        }
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

    # --- chats

    async def of_chat(self, chat_id: str) -> ChatDocuments:
        """Return what a chat is asked about."""
        response = await self._call("GET", _chat(chat_id), repeat=True)
        return self._decode(response, ChatDocuments)

    async def set_chat(
        self,
        chat_id: str,
        *,
        documents: Sequence[str] | None = None,
        collections: Sequence[str] | None = None,
        choice: Choice | None = None,
    ) -> ChatDocuments:
        """Change what is given of a chat's documents."""
        body = {
            "documents": None if documents is None else list(documents),
            "collections": None if collections is None else list(collections),
            "choice": choice,
        }
        response = await self._call("PUT", _chat(chat_id), body, repeat=True)
        return self._decode(response, ChatDocuments)

    async def uses(self) -> tuple[DocumentUse, ...]:
        """Return which chats are asked about which documents and collections."""
        response = await self._call("GET", "/documents/uses", repeat=True)
        return self._decode(response, tuple[DocumentUse, ...])

    async def fit(self, chat_id: str) -> DocumentFit:
        """Return whether a chat's documents fit its model's context, with the numbers."""
        response = await self._call("GET", f"{_chat(chat_id)}/fit", repeat=True)
        return self._decode(response, DocumentFit)

    # --- collections

    async def collections(self) -> tuple[Collection, ...]:
        """Return every collection, by name."""
        response = await self._call("GET", "/collections", repeat=True)
        return self._decode(response, tuple[Collection, ...])

    async def collection(self, collection_id: str) -> Collection:
        """Return one collection as it is now."""
        response = await self._call("GET", _collection(collection_id), repeat=True)
        return self._decode(response, Collection)

    async def collection_files(
        self, collection_id: str, *, limit: int = 500, offset: int = 0
    ) -> tuple[CollectionFile, ...]:
        """Return a collection's files: those that failed first, then by path."""
        params = {"limit": str(limit), "offset": str(offset)}
        path = f"{_collection(collection_id)}/files"
        response = await self._call("GET", path, params=params, repeat=True)
        return self._decode(response, tuple[CollectionFile, ...])

    async def create_collection(self, name: str, sources: Sequence[str] = ()) -> Collection:
        """Make a collection of files and folders (full paths)."""
        body = {"name": name, "sources": list(sources)}
        return self._decode(await self._call("POST", "/collections", body), Collection)

    async def update_collection(
        self,
        collection_id: str,
        *,
        name: str | None = None,
        sources: Sequence[str] | None = None,
        paused: bool | None = None,
    ) -> Collection:
        """Change what is given."""
        body = {
            "name": name,
            "sources": None if sources is None else list(sources),
            "paused": paused,
        }
        response = await self._call("PATCH", _collection(collection_id), body, repeat=True)
        return self._decode(response, Collection)

    async def rebuild_collection(self, collection_id: str) -> Collection:
        """Read every file of a collection again and make its index anew."""
        response = await self._call("POST", f"{_collection(collection_id)}/rebuild", repeat=True)
        return self._decode(response, Collection)

    async def remove_collection(self, collection_id: str) -> None:
        """Delete a collection with its text and vectors; the files themselves stay."""
        await self._call("DELETE", _collection(collection_id), repeat=True)


def _document(document_id: str) -> str:
    return f"/documents/{path_part(document_id)}"


def _chat(chat_id: str) -> str:
    return f"/chats/{path_part(chat_id)}/documents"


def _collection(collection_id: str) -> str:
    return f"/collections/{path_part(collection_id)}"
