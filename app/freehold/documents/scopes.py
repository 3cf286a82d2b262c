"""What each chat is asked about: its documents, its collections, and what was chosen for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from freehold.documents import collection_records, records
from freehold.documents.budget import Budget, decide
from freehold.documents.desk import DocumentDesk
from freehold.documents.generation import count
from freehold.documents.grounding import Grounding, Scope, fill
from freehold.documents.indexing import Indexer
from freehold.documents.limits import MAX_FILES
from freehold.documents.prompt import Turn, build_messages
from freehold.documents.records import StoredDocument
from freehold.documents.words import whole_pages
from freehold.engine.interface import EngineSource
from freehold.errors import AppError
from freehold.storage.connection import Database
from freehold.wire import AnyEvent, Changed
from freehold.wire_documents import ChatDocuments, Choice, Collection, DocumentFit, DocumentUse
from freehold.wire_grounds import AttachedDocument

# For the instructions, the question and a few earlier messages, while nothing is counted.
OTHER_TOKENS: Final = 600
MAX_COLLECTIONS: Final = 20


class ChatScopes:
    """The documents of chats."""

    def __init__(
        self,
        database: Database,
        desk: DocumentDesk,
        grounding: Grounding,
        engines: EngineSource,
        indexer: Indexer,
        publish: Callable[[AnyEvent], None],
    ) -> None:
        self._database = database
        self._desk = desk
        self._grounding = grounding
        self._engines = engines
        self._indexer = indexer
        self._publish = publish

    async def of_chat(self, chat_id: str) -> ChatDocuments:
        """Return what a chat is asked about.

        Raises: AppError `not_found`.
        """
        documents, collections, choice = await self._database.read(
            partial(_attached, chat_id=chat_id)
        )
        return ChatDocuments(
            chat_id=chat_id,
            documents=tuple([await self._desk.info(document) for document in documents]),
            collections=tuple([await self._indexer.overlay(item) for item in collections]),
            choice=choice,
        )

    async def uses(self) -> tuple[DocumentUse, ...]:
        """Return which chats are asked about which documents and collections, last used first."""
        return await self._database.read(_uses)

    async def set_chat(
        self,
        chat_id: str,
        documents: Sequence[str] | None,
        collections: Sequence[str] | None,
        choice: Choice | None,
    ) -> ChatDocuments:
        """Change what is given of a chat's documents.

        Raises: AppError `not_found`, `invalid_request`, `payload_too_large`.
        """
        for given, most, word in (
            (documents, MAX_FILES, "files"),
            (collections, MAX_COLLECTIONS, "collections"),
        ):
            if given is not None and len(set(given)) > most:
                raise AppError(
                    "payload_too_large",
                    f"{len(set(given))} {word} are attached; a chat takes {most}.",
                    "Make a collection of the files and attach that.",
                )
        await self._database.write(
            partial(
                _attach,
                chat_id=chat_id,
                documents=documents,
                collections=collections,
                choice=choice,
            )
        )
        self._publish(Changed(topic="chat_documents", id=chat_id))
        return await self.of_chat(chat_id)

    async def fit(self, chat_id: str, model: str, context: int, *, is_loaded: bool) -> DocumentFit:
        """Return whether a chat's documents fit, measured if the model is loaded.

        context: the model's, or what it would be loaded with.
        """
        scope = await self._database.read(partial(scope_of, chat_id=chat_id))
        documents = scope.documents if scope is not None else ()
        tokens = sum(document.estimated_tokens for document in documents)
        pages = sum(len(document.pages) for document in documents)
        turn = Turn(question="?")
        if is_loaded and scope is not None and tokens <= 3 * context:
            async with self._engines.lease(model) as lease:
                words = scope.page_words
                passages = await self._grounding.passages(documents)
                other = await count(lease, build_messages([], turn, words))
                tokens = await count(lease, build_messages(passages, turn, words)) - other
                budget = decide(document_tokens=tokens, context_tokens=context, other_tokens=other)
                whole = budget.mode == "whole"
                first = pages
                if not whole:
                    chosen = await self._grounding.first(lease, scope, turn, budget, other)
                    first = whole_pages(chosen, documents)
                return _fit(budget, whole, context, first, pages, "measured", model)
        budget = decide(document_tokens=tokens, context_tokens=context, other_tokens=OTHER_TOKENS)
        whole = budget.mode == "whole"
        first = pages
        if not whole:
            beginning = await self._grounding.beginning(documents, budget.passage_tokens)
            first = whole_pages(fill(beginning, budget.passage_tokens), documents)
        return _fit(budget, whole, context, first, pages, "estimated", model)


def _fit(
    budget: Budget, whole: bool, context: int, first: int, pages: int, basis: Any, model: str
) -> DocumentFit:
    return DocumentFit(
        is_whole=whole,
        document_tokens=budget.document_tokens,
        limit_tokens=max(budget.passage_tokens, 0),
        context_tokens=context,
        first_pages=first,
        pages=pages,
        basis=basis,
        model=model,
    )


def scope_of(connection: Any, chat_id: str) -> Scope | None:
    """Return what a chat's questions are answered from, None for a chat without documents."""
    documents, collections, choice = _stored(connection, chat_id)
    if not documents and not collections:
        return None
    scope = scope_from(connection, documents, collections)
    return msgspec.structs.replace(scope, choice=choice)


def scope_from(
    connection: Any, document_ids: Sequence[str], collection_ids: Sequence[str]
) -> Scope:
    """Return documents and those of collections as a scope; what is not ready is noted.

    Raises: AppError `not_found`.
    """
    ready: dict[str, StoredDocument] = {}
    notes = []
    for document_id in document_ids:
        document = records.find(connection, document_id)
        if document is None:
            raise AppError("not_found", "That document is not here.", "Add its file again.")
        if document.state == "ready":
            ready[document_id] = document
        else:
            why = "is still being read" if document.state == "reading" else "could not be read"
            notes.append(f"“{document.name}” {why} and was not used.")
    for collection_id in collection_ids:
        collection = collection_records.find(connection, collection_id)
        if collection is None:
            raise collection_records.gone()
        if collection.done < collection.total:
            missing = collection.total - collection.done
            notes.append(f"“{collection.name}” is still being read: {missing:,} files are missing.")
    for document in records.of_collections(connection, collection_ids):
        ready.setdefault(document.id, document)
    return Scope(documents=tuple(ready.values()), notes=tuple(notes))


def _stored(connection: Any, chat_id: str) -> tuple[list[str], list[str], Choice]:
    """Return the ids of a chat's documents and collections, and what was chosen."""
    documents = connection.execute(
        "SELECT document_id FROM chat_document WHERE chat_id = ? ORDER BY place", (chat_id,)
    ).fetchall()
    collections = connection.execute(
        "SELECT collection_id FROM chat_collection WHERE chat_id = ? ORDER BY place", (chat_id,)
    ).fetchall()
    row = connection.execute(
        "SELECT choice FROM chat_choice WHERE chat_id = ?", (chat_id,)
    ).fetchone()
    return [r[0] for r in documents], [r[0] for r in collections], row[0] if row else ""


def attached_to(connection: Any, chat_id: str) -> tuple[AttachedDocument, ...]:
    """Return the documents and collections of a chat as a question keeps them.

    Without what could not be read.
    """
    documents, collections, _ = _stored(connection, chat_id)
    found = [records.find(connection, item) for item in documents]
    sets = [collection_records.find(connection, item) for item in collections]
    return (
        *(
            AttachedDocument(
                id=document.id,
                name=document.name,
                kind=document.kind if document.state == "ready" else "",
            )
            for document in found
            if document is not None and document.state != "failed"
        ),
        *(
            AttachedDocument(id=collection.id, name=collection.name, kind="collection")
            for collection in sets
            if collection is not None
        ),
    )


def _uses(connection: Any) -> tuple[DocumentUse, ...]:
    rows = connection.execute(
        "SELECT item, chat_id, title FROM (SELECT document_id AS item, chat_id FROM chat_document"
        " UNION ALL SELECT collection_id, chat_id FROM chat_collection)"
        " JOIN chat ON chat.id = chat_id WHERE trashed_at IS NULL ORDER BY updated_at DESC, item"
    )
    return tuple(DocumentUse(id=row[0], chat_id=row[1], title=row[2]) for row in rows)


def _attached(
    connection: Any, chat_id: str
) -> tuple[tuple[StoredDocument, ...], tuple[Collection, ...], Choice]:
    _check_chat(connection, chat_id)
    documents, collections, choice = _stored(connection, chat_id)
    found = (records.find(connection, item) for item in documents)
    sets = (collection_records.find(connection, item) for item in collections)
    return (
        tuple(document for document in found if document is not None),
        tuple(collection for collection in sets if collection is not None),
        choice,
    )


def _attach(
    connection: Any,
    chat_id: str,
    documents: Sequence[str] | None,
    collections: Sequence[str] | None,
    choice: Choice | None,
) -> None:
    _check_chat(connection, chat_id)
    if documents is not None:
        connection.execute("DELETE FROM chat_document WHERE chat_id = ?", (chat_id,))
        for place, document_id in enumerate(dict.fromkeys(documents)):
            if records.find(connection, document_id) is None:
                raise AppError("not_found", "That document is not here.", "Add its file again.")
            connection.execute(
                "INSERT INTO chat_document (chat_id, place, document_id) VALUES (?, ?, ?)",
                (chat_id, place, document_id),
            )
    if collections is not None:
        connection.execute("DELETE FROM chat_collection WHERE chat_id = ?", (chat_id,))
        for place, collection_id in enumerate(dict.fromkeys(collections)):
            if collection_records.find(connection, collection_id) is None:
                raise AppError("not_found", "That collection is not here.", "Make it again.")
            connection.execute(
                "INSERT INTO chat_collection (chat_id, place, collection_id) VALUES (?, ?, ?)",
                (chat_id, place, collection_id),
            )
    if choice is not None:
        connection.execute(
            "INSERT INTO chat_choice (chat_id, choice) VALUES (?1, ?2)"
            " ON CONFLICT (chat_id) DO UPDATE SET choice = ?2",
            (chat_id, choice),
        )


def _check_chat(connection: Any, chat_id: str) -> None:
    if connection.execute("SELECT 1 FROM chat WHERE id = ?", (chat_id,)).fetchone() is None:
        raise AppError(
            "not_found",
            "This chat no longer exists.",
            "It may have been deleted in another window.",
            detail={"chat_id": chat_id[:100]},
        )
