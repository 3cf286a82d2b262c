"""What a chat has to do with documents: attaching them, and what happens before a question."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final, cast

from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QObject, QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QImage, QImageWriter
from PySide6.QtWidgets import QFileDialog, QWidget

from freehold.errors import AppError
from freehold.ui.chats.composer import Composer
from freehold.ui.documents.attach_menu import AttachMenu
from freehold.ui.documents.citation_card import CitationHover
from freehold.ui.documents.fit_dialog import ask_fit
from freehold.ui.documents.reader import Reader
from freehold.ui.state.attachments import Attachments
from freehold.ui.state.conversation import Conversation
from freehold.ui.state.gathering import MAX_FILES, pasted_name
from freehold.ui.state.session import Session
from freehold.ui.tasks import spawn
from freehold.ui.theme import Theme
from freehold.wire_documents import Choice, Collection, DocumentInfo
from freehold.wire_grounds import Grounds

DRAW_MS: Final = 16
MENU_WAIT_S: Final = 0.5


class ChatSide(QObject):
    """Joins a conversation's attachments with the composer.

    Attributes:
        reader: beside the chat, shown when a document or a citation is opened.
    Signals:
        reader_shown(shown): the reader came or went.
        offered(documents): scans whose text can be recognised here.
    """

    reader_shown = Signal(bool)
    offered = Signal(object)

    def __init__(
        self,
        session: Session,
        conversation: Conversation,
        composer: Composer,
        theme: Theme,
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._conversation, self._composer = conversation, composer
        self._theme, self._page = theme, parent
        self._pasted = 0
        self._offered: set[str] = set()
        self.reader = Reader(session, theme, parent)
        self.reader.hide()
        self.reader.closed.connect(self.close_reader)
        self.hover = CitationHover(session, theme, parent)
        self.attachments = Attachments(session, conversation.ensure_stored, self)
        box, strip = composer.box, composer.strip
        self.menu = AttachMenu(
            theme,
            files=self.choose_files,
            folder=self.choose_folder,
            attach=self.attach,
            parent=parent,
        )
        composer.attach_asked.connect(self.open_menu)
        box.files_pasted.connect(self.attachments.add_files)
        box.text_pasted.connect(self.attach_text)
        box.image_pasted.connect(lambda image: spawn(self, self._attach_image(image)))
        strip.removed.connect(self.attachments.remove)
        strip.opened.connect(self.open_document)
        # Many files at a time are many changes; the chips are drawn once for all of them.
        self._drawing = QTimer(self, singleShot=True, interval=DRAW_MS)
        self._drawing.timeout.connect(self._show)
        self.attachments.changed.connect(self._show_soon)
        conversation.opened.connect(self._on_opened)
        conversation.details_changed.connect(self._on_stored)

    # --- reading ---------------------------------------------------------------------------------

    def open_document(self, document_id: str) -> None:
        """Show a document beside the chat."""
        self._show_reader()
        self.reader.reading.open(document_id)

    def open_citation(self, message_id: str, number: int) -> None:
        """Show where an answer's citation stands."""
        grounds = self._grounds(message_id)
        if grounds is not None:
            self.hover.leave()
            self._show_reader()
            self.reader.reading.open_citations(grounds.citations, number)

    def hover_citation(self, message_id: str, number: int, place: QPoint) -> None:
        """Show a citation's passage while the mouse rests on it; number 0: it left."""
        grounds = self._grounds(message_id) if number else None
        found = [c for c in grounds.citations if c.number == number] if grounds else []
        if found:
            self.hover.enter(found[0], place)
        else:
            self.hover.leave()

    def close_reader(self) -> None:
        """Take the reader away."""
        if not self.reader.isHidden():
            self.reader.hide()
            self.reader.reading.close()
            self.reader_shown.emit(False)
            self._composer.box.setFocus()

    def _show_reader(self) -> None:
        if self.reader.isHidden():
            self.reader.show()
            self.reader_shown.emit(True)

    def _grounds(self, message_id: str) -> Grounds | None:
        messages = {message.id: message for message in self._conversation.messages}
        return messages[message_id].grounds if message_id in messages else None

    # --- attaching -------------------------------------------------------------------------------

    def attach(self, source: object) -> None:
        """Attach a document or a collection that is here already."""
        if isinstance(source, DocumentInfo):
            self.attachments.add_document(source)
        elif isinstance(source, Collection):
            self.attachments.add_collection(source)

    def add(self, paths: Sequence[str]) -> None:
        """Attach files and folders."""
        if self._conversation.chat.trashed_at is not None:
            self.attachments.noted.emit("This chat is in the trash. Restore it to add documents.")
            return
        self.attachments.add_files(paths)
        self._composer.box.setFocus()

    def open_menu(self) -> None:
        """Offer files, a folder, and what is here already."""
        spawn(self, self._open_menu())

    async def _open_menu(self) -> None:
        with contextlib.suppress(AppError, TimeoutError):  # files can be attached all the same
            async with asyncio.timeout(MENU_WAIT_S):
                await self._fill_menu()
        button = self._composer.attach_button
        self.menu.popup(button.mapToGlobal(QPoint(0, -self.menu.sizeHint().height() - 4)))

    async def _fill_menu(self) -> None:
        client = self._session.client.documents
        attached = {item.key for item in self.attachments.items}
        collections = [
            c for c in await client.collections() if f"collection:{c.id}" not in attached
        ]
        self.menu.show_known(collections, [d for d in await client.all() if d.id not in attached])

    def choose_folder(self) -> None:
        """Let the person choose a folder; what is in it is attached."""
        dialog = QFileDialog(self._page, "Attach the files of a folder")
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setOption(QFileDialog.Option.ShowDirsOnly, True)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, True)
        dialog.filesSelected.connect(self.add)
        dialog.open()

    def choose_files(self) -> None:
        """Let the person choose files."""
        dialog = QFileDialog(self._page, "Attach documents")
        dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
        dialog.setLabelText(QFileDialog.DialogLabel.Accept, "Attach")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, True)
        dialog.setWindowTitle(f"Attach documents (up to {MAX_FILES}, 500 MB each)")
        dialog.filesSelected.connect(self.add)
        dialog.open()

    def attach_text(self, text: str) -> None:
        """Attach a long text that was pasted."""
        self._pasted += 1
        self.attachments.add_content(pasted_name(text, self._pasted), text.encode())
        self.attachments.noted.emit(
            "The long text is attached as a document. Ctrl+Shift+V puts it into the message."
        )

    async def _attach_image(self, image: QImage) -> None:
        self._pasted += 1
        content = await asyncio.to_thread(to_png, image)
        self.attachments.add_content(f"Pasted picture {self._pasted}.png", content)

    async def prepare(self) -> bool:
        """Make documents ready for a question; False when the person would rather not ask.

        Raises: AppError when the server cannot tell whether they fit.
        """
        if not self.attachments.items:
            return True
        await self.attachments.until_read(self._say_reading)
        self._composer.say("")
        if not self.attachments.ready:
            return True
        fit = await self.attachments.fit()
        if fit.is_whole or self.attachments.choice:
            return True
        key = await ask_fit(self._theme, self._page, fit, self.attachments.ready)
        if not key:
            return False
        await self.attachments.choose(cast(Choice, key))
        return True

    def sent(self) -> None:
        """Fold the chips: they belong to what was asked, and stay in scope."""
        self._show()
        self._composer.strip.fold()

    def _say_reading(self, done: int, total: int) -> None:
        self._composer.say(
            f"Reading the documents ({done:,} of {total:,} done). Your question is sent when they"
            " are read; Esc takes it back."
        )

    def _show_soon(self) -> None:
        if not self._drawing.isActive():
            self._drawing.start()

    def _show(self) -> None:
        items = self.attachments.items
        self._composer.strip.show_items(items)
        scans = [
            item.document
            for item in items
            if item.is_ready and item.document is not None and item.document.scan_pages
        ]
        if {scan.id for scan in scans} - self._offered:
            spawn(self, self._offer(scans), failed=lambda _error: None)

    async def _offer(self, scans: Sequence[DocumentInfo]) -> None:
        """Offer to recognise the text of scans, once each, where that can be done."""
        self._offered |= {scan.id for scan in scans}
        abilities = await self._session.client.documents.abilities()
        if abilities.ocr:
            self.offered.emit(tuple(scans))

    def recognise(self, scans: Sequence[DocumentInfo]) -> None:
        """Recognise the text of scans; their chips tell how far it is."""
        for scan in scans:
            spawn(self, self._recognise(scan.id), failed=self.attachments.failed.emit)

    async def _recognise(self, document_id: str) -> None:
        await self._session.client.documents.recognise(document_id)
        self.attachments.refresh()

    def _on_opened(self) -> None:
        chat = self._conversation.chat
        if self.attachments.chat_id != chat.id:
            self.close_reader()
        if chat.id:
            self.attachments.show_chat(chat.id)
        else:
            self.attachments.leave()

    def _on_stored(self) -> None:
        chat_id = self._conversation.chat.id
        if chat_id and not self._conversation.loading:
            self.attachments.show_chat(chat_id)


def to_png(image: QImage) -> bytes:
    """Return a picture as PNG; takes a while, so not on the window's thread."""
    content = QByteArray()
    buffer = QBuffer(content)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    QImageWriter(buffer, b"png").write(image)
    return bytes(content.data())
