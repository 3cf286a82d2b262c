"""What each chat is asked about: its documents, its collections, and what was chosen for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, get_args

from freehold.documents import collection_records, records
from freehold.documents.budget import Budget, decide
from freehold.documents.desk import DocumentDesk
from freehold.documents.generation import count
from freehold.documents.grounding import Grounding, Scope, fill
from freehold.documents.indexing import Indexer
from freehold.documents.limits import MAX_FILES
from freehold.documents.prompt import Turn, build_messages
from freehold.documents.words import whole_pages
from freehold.engine.interface import EngineSource
from freehold.errors import AppError
from freehold.storage.connection import Database
from freehold.wire import AnyEvent, Changed
from freehold.wire_documents import ChatDocuments, Choice, DocumentFit
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
    rows = connection.execute(
        "SELECT document_id FROM chat_document WHERE chat_id = ? ORDER BY place", (chat_id,)
    )
    attached = [records.find(connection, row[0]) for row in rows.fetchall()]
    loose = [document for document in attached if document is not None]
    rows = connection.execute(
        "SELECT collection_id FROM chat_collection WHERE chat_id = ? ORDER BY place", (chat_id,)
    )
    collections = [row[0] for row in rows.fetchall()]
    if not loose and not collections:
        return None
    notes = [
        f"“{document.name}” is still being read and was not used."
        if document.state == "reading"
        else f"“{document.name}” could not be read and was not used."
        for document in loose
        if document.state != "ready"
    ]
    ready = [document for document in loose if document.state == "ready"]
    for collection_id in collections:
        collection = collection_records.find(connection, collection_id)
        if collection is not None and collection.phase not in ("ready", "paused"):
            notes.append(f"“{collection.name}” is still being indexed; some files may be missing.")
    known = {document.id for document in ready}
    ready += [d for d in records.of_collections(connection, collections) if d.id not in known]
    row = connection.execute(
        "SELECT choice FROM chat_choice WHERE chat_id = ?", (chat_id,)
    ).fetchone()
    return Scope(
        documents=tuple(ready), choice=row[0] if row is not None else "", notes=tuple(notes)
    )


def attached_to(connection: Any, chat_id: str) -> tuple[AttachedDocument, ...]:
    """Return a chat's documents and collections by name, without those that could not be read."""
    documents = connection.execute(
        "SELECT document.id, name, kind FROM chat_document JOIN document ON document.id ="
        " document_id WHERE chat_id = ? AND state != 'failed' ORDER BY place",
        (chat_id,),
    )
    found = [AttachedDocument(id=row[0], name=row[1], kind=row[2]) for row in documents]
    collections = connection.execute(
        "SELECT collection.id, name FROM chat_collection JOIN collection ON collection.id ="
        " collection_id WHERE chat_id = ? ORDER BY place",
        (chat_id,),
    )
    found += [AttachedDocument(id=row[0], name=row[1], kind="collection") for row in collections]
    return tuple(found)


def _attached(connection: Any, chat_id: str) -> tuple[Any, Any, Choice]:
    _check_chat(connection, chat_id)
    documents = connection.execute(
        "SELECT document_id FROM chat_document WHERE chat_id = ? ORDER BY place", (chat_id,)
    ).fetchall()
    collections = connection.execute(
        "SELECT collection_id FROM chat_collection WHERE chat_id = ? ORDER BY place", (chat_id,)
    ).fetchall()
    row = connection.execute(
        "SELECT choice FROM chat_choice WHERE chat_id = ?", (chat_id,)
    ).fetchone()
    found = (records.find(connection, item[0]) for item in documents)
    sets = (collection_records.find(connection, item[0]) for item in collections)
    return (
        tuple(document for document in found if document is not None),
        tuple(collection for collection in sets if collection is not None),
        row[0] if row is not None else "",
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
        assert choice in get_args(Choice)
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
