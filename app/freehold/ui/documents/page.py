"""The Documents page: every document and collection on the server's machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from freehold.errors import AppError
from freehold.ui.documents.collection_card import CollectionActions, CollectionCard
from freehold.ui.documents.collection_dialog import CollectionDialog, FilesDialog
from freehold.ui.documents.document_row import DocumentActions, DocumentRow
from freehold.ui.documents.reader import Reader
from freehold.ui.documents.search_models import SearchModels
from freehold.ui.documents.sheet import SHEET
from freehold.ui.documents.side_by_side import SideBySide
from freehold.ui.documents.words import counted, use_words
from freehold.ui.state.session import Session
from freehold.ui.state.shelf import Shelf
from freehold.ui.tasks import spawn
from freehold.ui.theme import Theme
from freehold.ui.widgets.banner import BannerStack
from freehold.ui.widgets.buttons import push_button
from freehold.ui.widgets.cards import Card, section_title
from freehold.ui.widgets.empty_state import EmptyState
from freehold.ui.widgets.question import Choice, ask
from freehold.ui.widgets.scroll_page import ScrollPage
from freehold.ui.widgets.virtual_column import VirtualColumn
from freehold.units import format_bytes, format_count
from freehold.wire_documents import Collection, DocumentInfo

LEAST_LIST: Final = 620
TEACHING: Final = (
    "Drop files here or into a chat: PDF, Word, Excel, PowerPoint, OpenDocument, pictures, web"
    " pages, e-books, mail, text and source code, up to 200 files of 500 MB each. They are read on"
    " this machine, answers point at the sentence they come from, and nothing is uploaded."
)


class DocumentsPage(QWidget):
    """Signals: said(text): done, confirm it; chat_requested(document or collection)."""

    said = Signal(str)
    chat_requested = Signal(object)

    def __init__(self, session: Session, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        self.shelf = Shelf(session, self)
        self.setAccessibleName("Documents")
        self._documents: dict[str, DocumentInfo] = {}
        self._collections: dict[str, Collection] = {}
        self._document_actions = DocumentActions(
            open=self._open,
            chat=self.chat_requested.emit,
            recognise=lambda info: self.shelf.recognise(info.id),
            remove=lambda info: spawn(self, self._remove(info)),
        )
        self._collection_actions = CollectionActions(
            chat=self.chat_requested.emit,
            pause=lambda c: self.shelf.update(c.id, paused=c.phase != "paused"),
            rebuild=lambda c: self.shelf.rebuild(c.id),
            edit=self._edit,
            files=lambda c: spawn(self, self._show_files(c)),
            remove=lambda c: spawn(self, self._remove_collection(c)),
        )
        self.problems = BannerStack(theme)
        self.reader = Reader(session, theme, self)
        self.reader.hide()
        self.list = ScrollPage("Documents")
        self._fill_list()
        self._lay_out()
        self.reader.closed.connect(self._close_reader)
        self.shelf.changed.connect(self._show)
        self.shelf.failed.connect(self.show_error)
        self.shelf.noted.connect(lambda text: self.problems.put("note", "info", text, ""))
        theme.changed.connect(self._apply_sheet)
        self._apply_sheet()
        self._show()

    # --- parts -----------------------------------------------------------------------------------

    def _fill_list(self) -> None:
        theme = self._theme
        self.collection_button = push_button(
            theme, "New collection…", self.new_collection, icon="folder"
        )
        self.add_button = push_button(
            theme, "Add documents…", self.choose_files, kind="primary", icon="plus"
        )
        self.list.head_buttons.addWidget(self.collection_button)
        self.list.head_buttons.addWidget(self.add_button)
        self.filter = QLineEdit()
        self.filter.setPlaceholderText("Filter by name")
        self.filter.setAccessibleName("Filter by name")
        self.filter.setClearButtonEnabled(True)
        self.filter.textChanged.connect(lambda _text: self._show())
        column = self.list.column
        column.addWidget(self.filter)
        self.collections_title = section_title("Collections")
        self.collections_card = Card()
        self.cards = VirtualColumn(self.list, self._make_card, self._fill_card)
        self.collections_card.body.addWidget(self.cards)
        self.documents_title = section_title("Documents")
        self.documents_card = Card()
        self.rows = VirtualColumn(self.list, self._make_row, self._fill_row)
        self.documents_card.body.addWidget(self.rows)
        self.search_title = section_title("How documents are searched")
        self.search = SearchModels(theme)
        self.search.chosen.connect(self.shelf.choose_model)
        for part in (
            self.collections_title,
            self.collections_card,
            self.documents_title,
            self.documents_card,
            self.search_title,
            self.search,
        ):
            column.addWidget(part)
        column.addStretch(1)

    def _lay_out(self) -> None:
        theme = self._theme
        first = push_button(theme, "Add documents…", self.choose_files, kind="primary", icon="plus")
        second = push_button(theme, "New collection…", self.new_collection, icon="folder")
        self.empty = EmptyState(theme, "documents", "No documents yet", TEACHING, (first, second))
        self.waiting = EmptyState(
            theme, "documents", "Looking for your documents…", "The server is starting."
        )
        self.stack = QStackedWidget()
        for page in (self.waiting, self.empty, self.list):
            self.stack.addWidget(page)
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.problems)
        column.addWidget(self.stack, 1)
        self.beside = SideBySide(left, self.reader, self, least=LEAST_LIST)
        outer = QHBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.beside)

    def _apply_sheet(self) -> None:
        self.setStyleSheet(self._theme.fill(SHEET))

    # --- adding ----------------------------------------------------------------------------------

    def add(self, paths: Sequence[str]) -> None:
        """Take in files and what is in folders."""
        self.shelf.add(paths)

    def choose_files(self) -> None:
        """Let the person choose files."""
        dialog = QFileDialog(self, "Add documents (up to 200 files of 500 MB each)")
        dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, True)
        dialog.filesSelected.connect(self.add)
        dialog.open()

    def new_collection(self) -> None:
        """Ask for a collection's name and folders."""
        self._dialog(None, self.shelf.create)

    def _edit(self, collection: Collection) -> None:
        def save(name: str, sources: tuple[str, ...]) -> None:
            changed = sources if sources != collection.sources else None
            self.shelf.update(collection.id, name=name, sources=changed)

        self._dialog(collection, save)

    def _dialog(self, collection: Collection | None, save: object) -> None:
        CollectionDialog(
            self._theme,
            collection,
            save,  # type: ignore[arg-type]
            is_local=self._session.is_local,
            parent=self,
        ).open()

    async def _show_files(self, collection: Collection) -> None:
        files = await self.shelf.files(collection.id)
        FilesDialog(self._theme, collection.name, files, self).open()

    # --- reading and deleting --------------------------------------------------------------------

    def _open(self, info: DocumentInfo) -> None:
        self.reader.show()
        self.beside.arrange()
        self.reader.reading.open(info.id)

    def _close_reader(self) -> None:
        self.reader.hide()
        self.reader.reading.close()
        self.beside.arrange()

    async def _remove(self, info: DocumentInfo) -> None:
        if info.phase == "ready":
            answer = await ask(
                self._theme,
                self,
                f"Delete {info.name}?",
                "Its copy, its text and its index are deleted and overwritten. The file you added"
                " stays where it is. Answers that cite it keep their words, but the places they"
                f" point at cannot be opened any more.{self._use_sentence(info.id)}",
                (Choice("cancel", "Cancel", "quiet"), Choice("delete", "Delete", "danger")),
            )
            if answer.key != "delete":
                return
        shown = self.reader.reading.info
        if shown is not None and shown.id == info.id:
            self._close_reader()
        self.shelf.remove(info.id)

    async def _remove_collection(self, collection: Collection) -> None:
        answer = await ask(
            self._theme,
            self,
            f"Delete the collection {collection.name}?",
            f"The text and the index of {counted(collection.files, 'file')} are deleted and"
            " overwritten. The files themselves stay where they are."
            f"{self._use_sentence(collection.id)}",
            (Choice("cancel", "Cancel", "quiet"), Choice("delete", "Delete", "danger")),
        )
        if answer.key == "delete":
            self.shelf.remove_collection(collection.id)

    def _use_sentence(self, item_id: str) -> str:
        words = use_words(self.shelf.uses.get(item_id, ()))
        return f"\n\n{words}." if words else ""

    def show_error(self, error: AppError) -> None:
        """Show what did not work, and what to do."""
        self.problems.put("documents", "error", error.message, error.hint)

    # --- showing ---------------------------------------------------------------------------------

    def row(self, document_id: str) -> DocumentRow:
        """Return the row of a document, brought onto the screen."""
        return self.rows.card(document_id)

    def card(self, collection_id: str) -> CollectionCard:
        """Return the card of a collection, brought onto the screen."""
        return self.cards.card(collection_id)

    def _show(self) -> None:
        shelf = self.shelf
        words = self.filter.text().casefold().split()
        self._documents = {d.id: d for d in shelf.documents if _holds(d.name, words)}
        self._collections = {c.id: c for c in shelf.collections if _holds(c.name, words)}
        for column, items in ((self.cards, self._collections), (self.rows, self._documents)):
            column.show_keys(tuple(items))
            for key in column.cards:
                column.refresh(key)
        self.collections_title.setVisible(bool(self._collections))
        self.collections_card.setVisible(bool(self._collections))
        self.documents_title.setVisible(bool(self._documents))
        self.documents_card.setVisible(bool(self._documents))
        self.search.show_abilities(shelf.abilities)
        self._say(shelf.documents, shelf.collections)
        if not shelf.loaded:
            self.stack.setCurrentWidget(self.waiting)
        else:
            anything = shelf.documents or shelf.collections
            self.stack.setCurrentWidget(self.list if anything else self.empty)

    def _make_row(self, key: str) -> DocumentRow:
        row = DocumentRow(self._theme, self._documents[key], self._document_actions)
        self._fill_row(row, key)
        return row

    def _fill_row(self, row: DocumentRow, key: str) -> None:
        row.show_abilities(self.shelf.abilities)
        if row.info != self._documents[key]:
            row.show_document(self._documents[key])
        row.show_uses(self.shelf.uses.get(key, ()))

    def _make_card(self, key: str) -> CollectionCard:
        card = CollectionCard(self._theme, self._collections[key], self._collection_actions)
        self._fill_card(card, key)
        return card

    def _fill_card(self, card: CollectionCard, key: str) -> None:
        if card.collection != self._collections[key]:
            card.show_collection(self._collections[key])
        card.show_uses(self.shelf.uses.get(key, ()))

    def _say(self, documents: Sequence[DocumentInfo], collections: Sequence[Collection]) -> None:
        parts = [counted(len(documents), "document")] if documents else []
        if collections:
            parts.append(counted(len(collections), "collection"))
        size = sum(info.bytes for info in documents)
        tokens = sum(i.tokens for i in documents) + sum(c.tokens for c in collections)
        parts += [format_bytes(size)] if size else []
        parts += [f"{format_count(tokens)} tokens (estimated)"] if tokens else []
        self.list.say(" · ".join(parts))


def _holds(name: str, words: Sequence[str]) -> bool:
    return all(word in name.casefold() for word in words)
