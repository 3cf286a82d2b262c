"""Puts together what serves documents: the desk, questions, chats, collections, pictures."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from freehold.documents.asking import Asking
from freehold.documents.collection_desk import CollectionDesk
from freehold.documents.copies import Copies
from freehold.documents.desk import DocumentDesk
from freehold.documents.grounding import Grounding
from freehold.documents.indexing import Indexer
from freehold.documents.page_pictures import PagePictures
from freehold.documents.questions import QuestionDesk
from freehold.documents.recognition import Tesseract
from freehold.documents.scopes import ChatScopes
from freehold.documents.searching import Searching
from freehold.engine.interface import EngineSource
from freehold.paths import Paths
from freehold.server.document_models import DocumentModels, Shelf
from freehold.storage.connection import Database
from freehold.wire import AnyEvent


@dataclass(frozen=True, slots=True)
class DocumentRoom:
    """Everything about documents that routes and chats use."""

    desk: DocumentDesk
    questions: QuestionDesk
    pictures: PagePictures
    models: DocumentModels
    grounding: Grounding
    chats: ChatScopes
    collections: CollectionDesk
    searching: Searching

    async def start(self) -> None:
        """Take up what the end of the last server broke off."""
        await self.desk.start()
        self.collections.start()

    async def close(self) -> None:
        """End what is under way."""
        await self.questions.close()
        await self.desk.close()
        await self.collections.close()
        await self.searching.close()


def join_documents(
    database: Database,
    paths: Paths,
    engines: EngineSource,
    shelf: Shelf,
    choose_model: Callable[[str | None], Awaitable[str]],
    publish: Callable[[AnyEvent], None],
) -> DocumentRoom:
    """Return the room, its parts joined; nothing runs before `start`."""
    tesseract = Tesseract()
    copies = Copies(paths.data / "documents", paths.cache / "pages")
    models = DocumentModels(database, shelf, tesseract)
    desk = DocumentDesk(database, copies, tesseract, publish)
    searching = Searching(database, engines, models.embedder, models.reranker)
    grounding = Grounding(database, searching)
    indexer = Indexer(database, engines, models.embedder, copies, publish)
    return DocumentRoom(
        desk=desk,
        questions=QuestionDesk(desk, Asking(database, engines, grounding), choose_model),
        pictures=PagePictures(database, copies),
        models=models,
        grounding=grounding,
        chats=ChatScopes(database, desk, grounding, engines, indexer, publish),
        collections=CollectionDesk(database, indexer, copies, publish),
        searching=searching,
    )
