"""Below an answer from documents: how they were used, and what each citation points at."""

from __future__ import annotations

from functools import partial
from typing import Final

from PySide6.QtCore import QEvent, QObject, QPoint, Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from freehold.ui.chats.stack import Stack
from freehold.ui.documents.attached_view import shortened
from freehold.ui.documents.citation_card import place_words
from freehold.ui.documents.flow_row import FlowRow
from freehold.ui.documents.words import counted
from freehold.ui.icons import pixmap
from freehold.ui.theme import Theme
from freehold.ui.widgets.labels import text_label
from freehold.units import format_count
from freehold.wire_grounds import DocumentCitation, Grounds

GAP: Final = 6
MOST_NAME: Final = 30
MOST_SHOWN: Final = 24


class ProofView(Stack):
    """Signals: asked(number): a source was clicked; hovered(number or 0, place on the screen)."""

    asked = Signal(int)
    hovered = Signal(int, QPoint)

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent, gap=GAP)
        self._theme = theme
        self._grounds: Grounds | None = None
        self.absent = _Absent(theme, self)
        self.add(self.absent)
        self.sources = FlowRow(self)
        self.add(self.sources)
        self.line = text_label("", "small", wrap=True, parent=self)
        self.add(self.line)

    def show_grounds(self, grounds: Grounds) -> None:
        """Show how documents were used for an answer."""
        if grounds == self._grounds:
            return
        self._grounds = grounds
        self.absent.show_grounds(grounds)
        self.show_part(self.absent, grounds.is_absent)
        self.sources.show_buttons([self._button(c) for c in grounds.citations[:MOST_SHOWN]])
        self.show_part(self.sources, bool(grounds.citations))
        self.line.setText(proof_words(grounds))
        self.show_part(self.line, not grounds.is_absent)
        self.changed()

    def draw_again(self) -> None:
        """Draw with the theme's present colours."""
        self.absent.paint_icon()

    def _button(self, citation: DocumentCitation) -> QPushButton:
        button = QPushButton(f"{citation.number}  {short_name(citation)}", self.sources)
        button.setProperty("source", True)
        button.setAutoDefault(False)
        button.setCursor(Qt.CursorShape.PointingHandCursor)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        quote = " ".join(citation.quote.split())
        button.setAccessibleName(f"Citation {citation.number}: {place_words(citation)}")
        button.setAccessibleDescription(quote[:300])
        button.clicked.connect(partial(self.asked.emit, citation.number))
        button.setProperty("number", citation.number)
        button.installEventFilter(self)
        return button

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(watched, QPushButton) and watched.property("number"):
            if event.type() == QEvent.Type.Enter:
                at = watched.mapToGlobal(QPoint(12, watched.height() - 12))
                self.hovered.emit(int(watched.property("number")), at)
            elif event.type() == QEvent.Type.Leave:
                self.hovered.emit(0, QPoint())
        return super().eventFilter(watched, event)


class _Absent(QFrame):
    """The answer is not in the documents: said plainly, and what was looked at."""

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme = theme
        self.setProperty("absent", True)
        self._mark = QLabel(self)
        self._title = text_label("Not in the documents", "strong", parent=self)
        self._text = text_label("", "muted", wrap=True, parent=self)
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addWidget(self._title)
        words.addWidget(self._text)
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 10, 14, 10)
        row.setSpacing(12)
        row.addWidget(self._mark, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(words, 1)
        self.paint_icon()

    @property
    def text(self) -> str:
        """Return what it says."""
        return f"{self._title.text()} {self._text.text()}".strip()

    def show_grounds(self, grounds: Grounds) -> None:
        """Say what was looked at."""
        advice = {
            "whole": "All of it was read. Other words will hardly help; another document might.",
            "first": "Only the first pages were read. Index the documents to search all of them.",
            "searched": "Only the passages that fit the question were read. Other words may find"
            " other passages.",
            "all": "Every part was read.",
        }
        self._text.setText(f"{sentence(proof_words(grounds))} {advice[grounds.mode]}")
        self.setAccessibleName(self.text)

    def paint_icon(self) -> None:
        color = self._theme.hex("info")
        self._mark.setPixmap(pixmap("not-found", color, 20, self.devicePixelRatioF()))


def proof_words(grounds: Grounds) -> str:
    """Return how documents were used: `whole document (41 k tokens)`, `12 passages of 3 files`."""
    parts = [grounds.says or _used(grounds)]
    if grounds.dropped:
        parts.append(f"{counted(grounds.dropped, 'citation')} that did not hold left out")
    return " · ".join(part.rstrip(".") for part in [*parts, *grounds.notes])


def _used(grounds: Grounds) -> str:
    files = counted(grounds.files, "file")
    if grounds.mode == "whole":
        what = "whole document" if grounds.files == 1 else f"{files} whole"
        return f"{what} ({format_count(grounds.document_tokens)} tokens)"
    if grounds.mode == "all":
        return f"every passage of {files}, one after another"
    if grounds.mode == "first":
        return f"the first pages of {files}"
    return f"{counted(grounds.passages, 'passage')} of {files}"


def sentence(words: str) -> str:
    """Return words as a sentence."""
    return f"{words[:1].upper()}{words[1:]}." if words else ""


def short_name(citation: DocumentCitation) -> str:
    """Return a citation's place, short enough for a button."""
    return f"{shortened(citation.file, MOST_NAME)}, {citation.page_word} {citation.page}"
