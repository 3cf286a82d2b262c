"""What the driven window can be told about documents."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QMouseEvent
from PySide6.QtWidgets import QApplication

from doubles.waiting import until
from freehold.ui.chats.message_view import AssistantMessage
from freehold.ui.chats.prose_view import ProseView
from freehold.ui.documents.citing import area_of

if TYPE_CHECKING:
    from freehold.ui.chats.page import ChatsPage
    from freehold.ui.desktop import Desktop

COPY = Qt.DropAction.CopyAction
LEFT, NO_KEYS = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


class DocumentsDriver:
    """Commands `drag JSON` (paths are held over the window), `drop JSON`, `chips`, `cite NUMBER`
    (a click on it in the newest answer), `proof`, `reader`."""

    desktop: Desktop

    @property
    def _chats(self) -> ChatsPage:
        return self.desktop.window.page("chats")  # type: ignore[return-value]

    async def do_drag(self, paths: str) -> str:
        self._send(QDragEnterEvent, paths)
        await asyncio.sleep(0.05)
        overlay = self.desktop.drops.overlay
        return overlay.title.text() if overlay.isVisible() else ""

    async def do_drop(self, paths: str) -> bool:
        self._send(QDragEnterEvent, paths)
        self._send(QDropEvent, paths)
        attachments = self._chats.side.attachments
        await until(lambda: attachments.items and not attachments.busy, timeout_s=60)
        strip = self._chats.composer.strip
        await until(lambda: strip.items == attachments.items)
        return True

    def _send(self, kind: type, paths: str) -> None:
        """Send a drag's event to what lies under the middle of the window, as Qt does."""
        window = self.desktop.window
        data = QMimeData()
        data.setUrls([QUrl.fromLocalFile(path) for path in json.loads(paths)])
        middle = QPoint(window.width() // 2, window.height() // 2)
        target = window.childAt(middle) or window
        QApplication.sendEvent(
            target, kind(target.mapFrom(window, middle), COPY, data, LEFT, NO_KEYS)
        )

    async def do_chips(self, _argument: str) -> list[dict[str, object]]:
        return [
            {
                "name": chip.name.text(),
                "words": chip.words.text() if chip.item.failure is None else chip.problem.text(),
                "look": chip.property("docChip"),
            }
            for chip in self._chats.composer.strip.chips
        ]

    async def do_proof(self, _argument: str) -> dict[str, object]:
        answer = self._answer()
        message = self._chats.conversation.messages[-1]
        question = self._chats.conversation.messages[-2]
        return {
            "text": message.content,
            "line": answer.proof.line.text() if answer.proof is not None else "",
            "citations": [c.file for c in message.grounds.citations] if message.grounds else [],
            "attached": [one.name for one in question.attached],
        }

    async def do_cite(self, number: str) -> bool:
        view = next(v for v in self._answer().body.views if isinstance(v, ProseView))
        mark = f"[{number}]"
        area = area_of(view.document(), view.toPlainText().index(mark), len(mark))
        assert area is not None
        place = QPointF(area.center())
        for kind in (QMouseEvent.Type.MouseButtonPress, QMouseEvent.Type.MouseButtonRelease):
            at = view.viewport().mapToGlobal(place)
            QApplication.sendEvent(
                view.viewport(), QMouseEvent(kind, place, at, LEFT, LEFT, NO_KEYS)
            )
        reader = self._chats.side.reader
        await until(reader.isVisible)
        await until(lambda: not reader.reading.loading, timeout_s=30)
        await asyncio.sleep(0.3)  # the splitter gives both sides their room
        await until(lambda: not reader.reading.loading, timeout_s=30)
        return True

    async def do_reader(self, _argument: str) -> dict[str, object]:
        reader = self._chats.side.reader
        page, picture = reader.page_view, reader.page_view.picture
        corner = reader.page_view.mapTo(self.desktop.window, QPoint(0, 0))
        return {
            "title": reader.title.text(),
            "page": reader.number.text(),
            "quote": reader.quote.text(),
            "as": "page" if reader.stack.currentWidget() is page else "text",
            "marked": reader.text_view.marked_text,
            "boxes": [[a.x(), a.y(), a.width()] for a in reader.text_view.mark_areas()],
            "view": [corner.x(), corner.y(), page.width(), page.height()],
            "picture": [picture.width(), picture.height()],
        }

    def _answer(self) -> AssistantMessage:
        views = self._chats.transcript.views
        return next(v for v in reversed(views) if isinstance(v, AssistantMessage))
