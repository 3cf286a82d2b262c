"""The card that shows a citation's passage while the mouse rests on it."""

from __future__ import annotations

import html
import re
from typing import Final

from PySide6.QtCore import QObject, QPoint, Qt, QTimer
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFrame, QLabel, QVBoxLayout, QWidget

from freehold.errors import AppError
from freehold.ui.state.session import Session
from freehold.ui.tasks import spawn
from freehold.ui.theme import Theme
from freehold.ui.widgets.labels import ElidedLabel, text_label
from freehold.wire_grounds import DocumentCitation

WIDTH: Final = 420
AROUND: Final = 220  # characters shown before and after the quote
SHOW_MS: Final = 220
HIDE_MS: Final = 160
MOST_QUOTE: Final = 700
# Marks of Markdown that say nothing in a few lines of text: headings, table edges.
_MARKS: Final = re.compile(r"^\s*#{1,6}\s|^\s*\|?[\s|:-]*-{3}[\s|:-]*$|\s\|\s|^\s*\||\|\s*$", re.M)


class CitationCard(QFrame):
    """Floats beside a citation; never takes the focus, loads nothing but the document's text."""

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.ToolTip | Qt.WindowType.FramelessWindowHint)
        self.setObjectName("citationCard")
        self.setAttribute(Qt.WidgetAttribute.WA_ShowWithoutActivating)
        self._theme = theme
        self.setFixedWidth(WIDTH)
        self.place = ElidedLabel("", "strong", mode=Qt.TextElideMode.ElideMiddle, parent=self)
        self.passage = QLabel(self)
        self.passage.setTextFormat(Qt.TextFormat.RichText)
        self.passage.setWordWrap(True)
        self.passage.setOpenExternalLinks(False)
        hint = text_label("Click to see it in the document", "small", parent=self)
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 10, 14, 10)
        column.setSpacing(6)
        for label in (self.place, self.passage, hint):
            column.addWidget(label)

    def show_citation(self, citation: DocumentCitation, before: str, after: str) -> None:
        """Show a quote and what stands around it."""
        self.place.setText(place_words(citation))
        self.passage.setText(passage_html(citation, before, after, self._theme))
        self.adjustSize()

    def appear(self, at: QPoint) -> None:
        """Show the card below a point of the screen, or above it where there is no room."""
        self.adjustSize()
        screen = QGuiApplication.screenAt(at) or QGuiApplication.primaryScreen()
        room = screen.availableGeometry()
        left = max(room.left() + 8, min(at.x() - 24, room.right() - WIDTH - 8))
        top = at.y() + 18
        if top + self.height() > room.bottom():
            top = at.y() - self.height() - 14
        self.move(left, top)
        self.show()


class CitationHover(QObject):
    """Shows the card for what the mouse is on, after a moment."""

    def __init__(self, session: Session, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self._session = session
        self.card = CitationCard(theme, parent)
        self._citation: DocumentCitation | None = None
        self._at = QPoint()
        self._show = QTimer(self, singleShot=True, interval=SHOW_MS)
        self._show.timeout.connect(self._appear)
        self._hide = QTimer(self, singleShot=True, interval=HIDE_MS)
        self._hide.timeout.connect(self.card.hide)

    def enter(self, citation: DocumentCitation, at: QPoint) -> None:
        """Begin to rest on a citation."""
        self._hide.stop()
        self._at = at
        if citation != self._citation or self.card.isHidden():
            self._citation = citation
            self._show.start()

    def leave(self) -> None:
        """Stop resting on it."""
        self._show.stop()
        self._hide.start()

    def _appear(self) -> None:
        if self._citation is not None:
            self.card.show_citation(self._citation, "", "")
            self.card.appear(self._at)
            spawn(self, self._read(self._citation), failed=lambda _error: None)

    async def _read(self, citation: DocumentCitation) -> None:
        start = max(0, citation.start - AROUND)
        try:
            found = await self._session.client.documents.text(
                citation.document_id, start=start, end=citation.end + AROUND
            )
        except AppError:
            return  # the quote alone is shown; the reader says why when it is opened
        if citation != self._citation or self.card.isHidden():
            return
        before = found.text[: citation.start - found.start]
        after = found.text[citation.end - found.start :]
        self.card.show_citation(citation, before, after)
        self.card.appear(self._at)


def place_words(citation: DocumentCitation) -> str:
    """Return where a citation stands: `lease.pdf, page 2`."""
    return f"{citation.file}, {citation.page_word} {citation.page}"


def passage_html(citation: DocumentCitation, before: str, after: str, theme: Theme) -> str:
    """Return a passage with its quote marked; all of it is text, markup in it is escaped."""

    def plain(text: str) -> str:
        return html.escape(" ".join(_MARKS.sub(" ", text).split()))

    quote = citation.quote
    if len(quote) > MOST_QUOTE:
        quote = f"{quote[:MOST_QUOTE]}…"
    muted, strong = theme.hex("text-muted"), theme.hex("text")
    ground = theme.hex("accent-soft")
    lead = f"…{plain(before[-AROUND:])} " if before.strip() else ""
    tail = f" {plain(after[:AROUND])}…" if after.strip() else ""
    return (
        f'<span style="color:{muted}">{lead}</span>'
        f'<span style="color:{strong};background-color:{ground}">{plain(quote)}</span>'
        f'<span style="color:{muted}">{tail}</span>'
    )
