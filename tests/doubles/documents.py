"""`DocumentsClient` without a server: files of the disk, answers that a test sets.

    client.documents.answers.append(DocumentAnswer(...))
    client.documents.fail_next("documents.add", AppError(...))
    client.documents.put(Collection(id="1", name="Law", phase="reading", done=3, total=9))
    client.documents.hold = True     # what is added or made stays under way until `put`

A file that exists is ready at once; a question is answered at once; a collection is ready at once.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from doubles.conversation_tree import Conversations
from freehold.errors import AppError
from freehold.wire import AnyEvent, Changed, ErrorInfo
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
    TextPage,
)

# The smallest picture: one white dot.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8ff"
    "ff3f0005fe02fe0def46b80000000049454e44ae426082"
)


class FakeDocuments:
    """The documents part of a server in memory.

    Attributes:
        known, texts: every document and its text. images: pictures by (document, page).
        made: every collection. files: by collection.
        fits: what `fit` says next, by chat; otherwise that everything fits.
    """

    def __init__(
        self,
        enter: Callable[..., Awaitable[None]],
        fail_next: Callable[[str, AppError], None],
        push: Callable[[AnyEvent], None],
        conversations: Conversations,
    ) -> None:
        self.answers: list[DocumentAnswer] = []
        self.known: dict[str, DocumentInfo] = {}
        self.texts: dict[str, str] = {}
        self.images: dict[tuple[str, int], bytes] = {}
        self.questions: dict[str, DocumentQuestion] = {}
        self.made: dict[str, Collection] = {}
        self.files: dict[str, tuple[CollectionFile, ...]] = {}
        self.chats: dict[str, tuple[tuple[str, ...], tuple[str, ...], Choice]] = {}
        self.fits: dict[str, DocumentFit] = {}
        self.stored_abilities = DocumentAbilities(
            ocr_hint="Install tesseract to recognise the text of scans.",
            vision="No vision model is loaded.",
            embedder="all-MiniLM-L6-v2",
            embedders=("all-MiniLM-L6-v2",),
            max_files=200,
            max_file_bytes=500 << 20,
            max_pages=5000,
            max_collection_files=5000,
        )
        self.hold = False
        self.fail_next = fail_next
        self._enter = enter
        self._push = push
        self._conversations = conversations
        self._ids = itertools.count(1)

    # --- what a test arranges

    def put(self, value: DocumentInfo | Collection) -> None:
        """Say how a document or collection is now, and tell the windows."""
        if isinstance(value, Collection):
            self.made[value.id] = value
            self._push(Changed(topic="collection", id=value.id))
        else:
            self.known[value.id] = value
            self._push(Changed(topic="document", id=value.id))

    # --- documents

    async def add(self, path: str) -> DocumentInfo:
        await self._enter("documents.add", path=path)
        file = Path(path)
        if not file.is_absolute():
            raise AppError("invalid_request", "A full path is needed.", "Begin it with a slash.")
        return self._take(file.name, file.read_bytes() if file.is_file() else None)

    async def upload(self, name: str, content: AsyncIterable[bytes]) -> DocumentInfo:
        await self._enter("documents.upload", name=name)
        data = b"".join([chunk async for chunk in content])
        return self._take(Path(name.replace("\\", "/")).name, data)

    async def all(self) -> tuple[DocumentInfo, ...]:
        await self._enter("documents.all")
        return tuple(self.known.values())

    async def get(self, document_id: str, *, wait_s: int = 0) -> DocumentInfo:
        await self._enter("documents.get", document_id=document_id)
        return self._find(document_id)

    async def remove(self, document_id: str) -> None:
        await self._enter("documents.remove", document_id=document_id)
        if self.known.pop(document_id, None) is not None:
            self.chats = {
                chat: (tuple(d for d in documents if d != document_id), collections, choice)
                for chat, (documents, collections, choice) in self.chats.items()
            }
            self._push(Changed(topic="documents"))

    async def text(
        self, document_id: str, *, start: int = 0, end: int | None = None
    ) -> DocumentText:
        await self._enter("documents.text", document_id=document_id, start=start, end=end)
        self._find(document_id)
        text = self.texts.get(document_id, "")
        stop = len(text) if end is None else max(start, min(end, len(text)))
        return DocumentText(
            document_id=document_id,
            start=start,
            end=stop,
            text=text[start:stop],
            characters=len(text),
            page_word="page",
            pages=(TextPage(number=1, start=0, end=len(text)),),
        )

    async def page_image(
        self, document_id: str, page: int, *, start: int = 0, end: int = 0, width: int = 1200
    ) -> bytes:
        await self._enter(
            "documents.page_image", document_id=document_id, page=page, start=start, end=end
        )
        if not self._find(document_id).has_pages:
            raise AppError("invalid_request", "It has no page pictures.", "Read its text.")
        return self.images.get((document_id, page), PNG)

    async def recognise(self, document_id: str) -> DocumentInfo:
        await self._enter("documents.recognise", document_id=document_id)
        info = self._find(document_id)
        if not self.stored_abilities.ocr:
            raise AppError("not_supported", "tesseract is not installed.", "Install it.")
        self.put(msgspec.structs.replace(info, phase="reading", total=info.scan_pages))
        return self.known[document_id]

    async def abilities(self) -> DocumentAbilities:
        await self._enter("documents.abilities")
        return self.stored_abilities

    async def choose_model(
        self, role: Literal["embedder", "reranker"], ref: str
    ) -> DocumentAbilities:
        await self._enter("documents.choose_model", role=role, ref=ref)
        now = self.stored_abilities
        if ref and ref not in (now.embedders if role == "embedder" else now.rerankers):
            raise AppError("model_not_found", "There is no such model.", "Choose another.")
        chosen = ref or (now.embedders[0] if role == "embedder" and now.embedders else "")
        self.stored_abilities = msgspec.structs.replace(now, **{role: chosen})
        return self.stored_abilities

    # --- questions

    async def ask(
        self,
        document_ids: Sequence[str],
        question: str,
        *,
        model: str = "",
        collections: Sequence[str] = (),
    ) -> DocumentQuestion:
        await self._enter(
            "documents.ask", documents=tuple(document_ids), question=question, model=model
        )
        if not question.strip() or not (document_ids or collections):
            raise AppError("invalid_request", "Nothing is asked.", "Ask something.")
        for collection_id in collections:
            self._find_collection(collection_id)
        if any(self._find(document_id).phase != "ready" for document_id in document_ids):
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

    # --- chats

    async def of_chat(self, chat_id: str) -> ChatDocuments:
        await self._enter("documents.of_chat", chat_id=chat_id)
        self._conversations.chat(chat_id)
        documents, collections, choice = self.chats.get(chat_id, ((), (), ""))
        return ChatDocuments(
            chat_id=chat_id,
            documents=tuple(self.known[d] for d in documents if d in self.known),
            collections=tuple(self.made[c] for c in collections if c in self.made),
            choice=choice,
        )

    async def set_chat(
        self,
        chat_id: str,
        *,
        documents: Sequence[str] | None = None,
        collections: Sequence[str] | None = None,
        choice: Choice | None = None,
    ) -> ChatDocuments:
        given = {"documents": documents, "collections": collections, "choice": choice}
        await self._enter("documents.set_chat", chat_id=chat_id, **given)
        self._conversations.chat(chat_id)
        for document_id in documents or ():
            self._find(document_id)
        for collection_id in collections or ():
            self._find_collection(collection_id)
        old = self.chats.get(chat_id, ((), (), ""))
        self.chats[chat_id] = (
            old[0] if documents is None else tuple(dict.fromkeys(documents)),
            old[1] if collections is None else tuple(dict.fromkeys(collections)),
            old[2] if choice is None else choice,
        )
        self._push(Changed(topic="chat_documents", id=chat_id))
        return await self.of_chat(chat_id)

    async def uses(self) -> tuple[DocumentUse, ...]:
        await self._enter("documents.uses")
        return tuple(
            DocumentUse(id=item, chat_id=chat, title=self._conversations.chat(chat).title)
            for chat, (documents, collections, _) in self.chats.items()
            for item in (*documents, *collections)
        )

    async def fit(self, chat_id: str) -> DocumentFit:
        await self._enter("documents.fit", chat_id=chat_id)
        now = await self.of_chat(chat_id)
        tokens = sum(d.tokens for d in now.documents) + sum(c.tokens for c in now.collections)
        pages = sum(d.page_count for d in now.documents)
        return self.fits.get(chat_id) or DocumentFit(
            is_whole=True,
            document_tokens=tokens,
            limit_tokens=max(2400, tokens),
            context_tokens=4096,
            first_pages=pages,
            pages=pages,
            basis="estimated",
        )

    # --- collections

    async def collections(self) -> tuple[Collection, ...]:
        await self._enter("documents.collections")
        return tuple(sorted(self.made.values(), key=lambda item: item.name.casefold()))

    async def collection(self, collection_id: str) -> Collection:
        await self._enter("documents.collection", collection_id=collection_id)
        return self._find_collection(collection_id)

    async def collection_files(
        self, collection_id: str, *, limit: int = 500, offset: int = 0
    ) -> tuple[CollectionFile, ...]:
        await self._enter("documents.collection_files", collection_id=collection_id)
        self._find_collection(collection_id)
        return self.files.get(collection_id, ())[offset : offset + limit]

    async def create_collection(self, name: str, sources: Sequence[str] = ()) -> Collection:
        await self._enter("documents.create_collection", name=name, sources=tuple(sources))
        _check_collection(name, sources)
        made = self._index(
            Collection(id=f"collection-{next(self._ids)}", name=name.strip(), sources=()), sources
        )
        self._push(Changed(topic="collections"))
        return made

    async def update_collection(
        self,
        collection_id: str,
        *,
        name: str | None = None,
        sources: Sequence[str] | None = None,
        paused: bool | None = None,
    ) -> Collection:
        given = {"name": name, "sources": sources, "paused": paused}
        await self._enter("documents.update_collection", collection_id=collection_id, **given)
        now = self._find_collection(collection_id)
        _check_collection(name if name is not None else now.name, sources or ())
        if name is not None:
            now = msgspec.structs.replace(now, name=name.strip())
        if sources is not None:
            now = self._index(now, sources)
        if paused is not None:
            now = msgspec.structs.replace(now, phase="paused" if paused else "ready")
        self.put(now)
        return now

    async def rebuild_collection(self, collection_id: str) -> Collection:
        await self._enter("documents.rebuild_collection", collection_id=collection_id)
        now = self._find_collection(collection_id)
        return self._index(msgspec.structs.replace(now, stale=""), now.sources)

    async def remove_collection(self, collection_id: str) -> None:
        await self._enter("documents.remove_collection", collection_id=collection_id)
        if self.made.pop(collection_id, None) is not None:
            self._push(Changed(topic="collections"))

    # --- inside

    def _take(self, name: str, data: bytes | None) -> DocumentInfo:
        info = DocumentInfo(id=f"document-{next(self._ids)}", name=name, phase="reading")
        if data is None:
            error = ErrorInfo(
                code="not_found", message=f"There is no file “{name}”.", hint="Look at it."
            )
            then = DocumentInfo(id=info.id, name=name, phase="failed", error=error)
        else:
            text = data.decode("utf-8", errors="replace")
            self.texts[info.id] = text
            then = DocumentInfo(
                id=info.id,
                name=name,
                phase="ready",
                kind="text",
                done=1,
                total=1,
                page_count=1,
                tokens=max(1, len(text) // 4),
                bytes=len(data),
                characters=len(text),
                passages=1,
            )
        self.known[info.id] = info if self.hold else then
        self._push(Changed(topic="documents"))
        return info

    def _index(self, collection: Collection, sources: Sequence[str]) -> Collection:
        found: list[Path] = []
        for source in map(Path, sources):
            found += [source] if source.is_file() else sorted(source.rglob("*"))
        files = [file for file in found if file.is_file()]
        self.files[collection.id] = tuple(
            CollectionFile(path=str(f), name=f.name, phase="ready", bytes=f.stat().st_size)
            for f in files
        )
        made = msgspec.structs.replace(
            collection,
            sources=tuple(sources),
            phase="waiting" if self.hold else "ready",
            files=len(files),
            done=len(files),
            total=len(files),
            passages=len(files),
            embedded=len(files),
        )
        self.put(made)
        return made

    def _find_collection(self, collection_id: str) -> Collection:
        if collection_id not in self.made:
            raise AppError("not_found", "That collection is not here.", "Make it again.")
        return self.made[collection_id]

    def _find(self, document_id: str) -> DocumentInfo:
        if document_id not in self.known:
            raise AppError("not_found", "That document is not here.", "Add its file again.")
        return self.known[document_id]


def _echo(question: str) -> DocumentAnswer:
    return DocumentAnswer(answer=question, mode="whole", model="tiny", is_absent=False, files=1)


def _check_collection(name: str, sources: Sequence[str]) -> None:
    if not name.strip():
        raise AppError("invalid_request", "A collection needs a name.", "Give it one.")
    if not all(Path(source).is_absolute() for source in sources):
        raise AppError("invalid_request", "A full path is needed.", "Begin it with a slash.")
