"""A chip: one attached file, what it is, how far its reading is, or why it cannot be used."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFontMetrics, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from freehold.ui.chats.tips import plain_tip
from freehold.ui.documents.words import (
    collection_words,
    facts_of,
    icon_of,
    scan_words,
    sized,
    state_words,
)
from freehold.ui.icons import themed_icon
from freehold.ui.state.attachments import Attachment
from freehold.ui.theme import Theme
from freehold.ui.widgets.buttons import icon_button
from freehold.ui.widgets.labels import ElidedLabel, set_role, text_label
from freehold.wire import ErrorInfo

WIDTH: Final = 232
ERROR_WIDTH: Final = 348
ICON: Final = 20
BESIDE: Final = 82  # pixels of a chip's width that are not its words


class Chip(QFrame):
    """Signals: removed(key): the × was pressed; opened(key): the person wants to see it."""

    removed = Signal(str)
    opened = Signal(str)

    def __init__(self, theme: Theme, item: Attachment, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.item = item
        self._share: float | None = None
        self.setProperty("docChip", "plain")
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self._icon = QLabel(self)
        self._icon.setFixedSize(ICON, ICON)
        self.name = ElidedLabel("", "chipName", mode=Qt.TextElideMode.ElideMiddle, parent=self)
        self.words = ElidedLabel("", "small", parent=self)
        self.problem = text_label("", "small", wrap=True, parent=self)
        self.close_button = icon_button(theme, "close", "Take it off the chat", parent=self)
        self.close_button.clicked.connect(lambda: self.removed.emit(self.item.key))
        self.close_button.setIconSize(QSize(14, 14))
        text = QVBoxLayout()
        text.setSpacing(0)
        text.setContentsMargins(0, 0, 0, 0)
        for label in (self.name, self.words, self.problem):
            text.addWidget(label)
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 6, 4, 7)
        row.setSpacing(7)
        row.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(text, 1)
        row.addWidget(self.close_button, 0, Qt.AlignmentFlag.AlignTop)
        theme.changed.connect(self._paint_icon)
        self.show_item(item)

    def show_item(self, item: Attachment) -> None:
        """Show the attachment as it is now."""
        self.item = item
        failure, document = item.failure, item.document
        look = "error" if failure is not None else "plain"
        set_role(self, "docChip", look)
        self.name.setText(item.name)
        self._share = None
        if failure is not None:
            words = failure_words(failure)
        elif item.collection is not None:
            words = collection_words(item.collection)
        elif document is not None:
            words = scan_words(document) or state_words(document)
            if document.phase == "reading" and not document.total:
                words = sized(words, document.bytes)
            if document.phase == "reading":
                self._share = document.done / document.total if document.total else 0.0
        else:
            words, self._share = sized("Sending…", item.bytes), 0.0
        self.words.setVisible(failure is None)
        self.problem.setVisible(failure is not None)
        (self.problem if failure is not None else self.words).setText(words)
        self.setFixedWidth(ERROR_WIDTH if failure is not None else WIDTH)
        self.setAccessibleName(f"{item.name}: {words}")
        self.close_button.setAccessibleName(f"Take {item.name} off")
        self.setToolTip(plain_tip(self._tip(words)))
        may_open = item.is_ready and document is not None
        self.setCursor(
            Qt.CursorShape.PointingHandCursor if may_open else Qt.CursorShape.ArrowCursor
        )
        self._paint_icon()
        self.update()

    def _tip(self, words: str) -> str:
        document = self.item.document
        lines = [self.item.name, words]
        if document is not None and document.error is None:
            lines[1] = facts_of(document) or words
            lines += document.notes
        return "\n".join(lines)

    def _paint_icon(self) -> None:
        failure = self.item.failure
        kind = "collection" if self.item.collection is not None else ""
        if self.item.document is not None:
            kind = self.item.document.kind
        name = "error" if failure is not None else icon_of(kind, self.item.name)
        token = "danger" if failure is not None else "accent"
        ratio = self.devicePixelRatioF()
        icon = themed_icon(self._theme, name, token)  # kept for all chips of a kind
        self._icon.setPixmap(icon.pixmap(QSize(ICON, ICON), ratio))

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if self._share is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        track = QRectF(10, self.height() - 6, self.width() - 20, 3)
        painter.setBrush(self._theme.color("pressed"))
        painter.drawRoundedRect(track, 1.5, 1.5)
        painter.setBrush(self._theme.color("accent"))
        track.setWidth(max(4.0, track.width() * min(1.0, self._share)))
        painter.drawRoundedRect(track, 1.5, 1.5)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        inside = self.rect().contains(event.position().toPoint())
        if event.button() == Qt.MouseButton.LeftButton and inside:
            self._open()
        super().mouseReleaseEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self._open()
        elif event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.removed.emit(self.item.key)
        else:
            super().keyPressEvent(event)

    def _open(self) -> None:
        if self.item.is_ready and self.item.document is not None:
            self.opened.emit(self.item.key)


def failure_words(failure: ErrorInfo) -> str:
    """Return cause and next step."""
    return f"{failure.message} {failure.hint}".strip()


def chip_size(item: Attachment, metrics: QFontMetrics) -> QSize:
    """Return how large an attachment's chip is; known without making one.

    metrics: of the theme's small font.
    """
    lines = metrics.lineSpacing()
    if item.failure is None:
        return QSize(WIDTH, max(44, 2 * lines + 15))
    inside = QRect(0, 0, ERROR_WIDTH - BESIDE, 10_000)
    words = failure_words(item.failure)
    text = metrics.boundingRect(inside, int(Qt.TextFlag.TextWordWrap), words)
    return QSize(ERROR_WIDTH, lines + text.height() + 16)
