"""The Help page: the manual that comes with Freehold, in two languages, with a search."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from PySide6.QtCore import QLocale, QTimer, Signal
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from freehold.paths import resources
from freehold.ui.chats.sheet import SHEET
from freehold.ui.costs.controls import Choices
from freehold.ui.help.contents import Contents
from freehold.ui.library.card_text import CardText
from freehold.ui.state.manual import (
    LANGUAGES,
    ManualPage,
    Section,
    language_of,
    read_manual,
    search,
)
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.labels import text_label

# The page of the manual that belongs to a page of the window.
SUBJECTS: Final = {
    "chats": "chats",
    "documents": "documents",
    "models": "models",
    "machine": "machine",
    "costs": "costs",
    "settings": "settings",
}
MISSING: Final = "Its files come with Freehold. Install Freehold again to get them back."
CONTENTS_WIDTH: Final = 264
ARTICLE_WIDTH: Final = 720
SETTLING_MS: Final = 500
SLICE_S: Final = 0.006
WORDS: Final = {
    "en": ("Help", "Search the manual", "Nothing in the manual holds these words."),
    "ru": ("Справка", "Поиск в руководстве", "Этих слов в руководстве нет."),
}


class HelpPage(QWidget):
    """Signals: language_chosen(code): the person wants the manual in that language."""

    language_chosen = Signal(str)

    def __init__(
        self,
        theme: Theme,
        language: str = "",
        folder: Path | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._theme = theme
        self._folder = folder or resources() / "help"
        self._sections: list[tuple[str, CardText]] = []
        self._pages: tuple[ManualPage, ...] = ()
        self.language = ""
        self.key = ""
        self._wanted = ""
        self._waiting: list[Section] = []
        self._drawing = QTimer(self)
        self._drawing.setSingleShot(True)
        self._drawing.setInterval(0)
        self._drawing.timeout.connect(self._add_sections)
        self._settled = QTimer(self)
        self._settled.setSingleShot(True)
        self._settled.setInterval(SETTLING_MS)
        self.setAccessibleName("Help")
        self.search = QLineEdit()
        self.search.setClearButtonEnabled(True)
        self.contents = Contents(theme)
        self.none = text_label("", "small", wrap=True)
        self.languages = Choices("Language of the manual", LANGUAGES)
        self.title = text_label("", "title", wrap=True)
        self.area = QScrollArea()
        self._lay_out()
        self.area.verticalScrollBar().rangeChanged.connect(self._go_to_wanted)
        self.search.textChanged.connect(self._list)
        self.search.returnPressed.connect(self.contents.open_first)
        self.contents.opened.connect(self.open)
        self.languages.chosen.connect(self._choose_language)
        self.setFocusProxy(self.search)
        theme.changed.connect(self._apply_sheet)
        self._apply_sheet()
        self.speak(language or language_of(QLocale.system().name()))

    # --- what the window asks for --------------------------------------------------------

    def speak(self, language: str) -> None:
        """Show the manual in a language, on the same page as before."""
        self.language = language if language in dict(LANGUAGES) else "en"
        self._pages = read_manual(self._folder, self.language)
        title, hint, none = WORDS[self.language]
        self.heading.setText(title)
        self.search.setPlaceholderText(hint)
        self.search.setAccessibleName(hint)
        self.none.setText(none)
        self.languages.choose(self.language)
        self._list()
        self.open(self.key)

    def open_for(self, place: str) -> None:
        """Show what belongs to a page of the window; elsewhere the page shown last."""
        if place in SUBJECTS:
            self.search.clear()
            self.open(SUBJECTS[place])

    def open(self, key: str, heading: str = "") -> None:
        """Show a page of the manual, at one of its sections where one is named."""
        page = next((page for page in self._pages if page.key == key), None)
        if page is None:
            page = next(iter(self._pages), None)
        if page is None:
            self.key = ""
            self._show_article("The manual is not there.", (Section("", MISSING),))
            return
        self.key = page.key
        self._show_article(page.title, page.sections)
        if not self.search.text().strip():
            self.contents.mark(page.key)
        # The article gets its height in several steps; each moves the place to go to.
        self._wanted = heading
        self._settled.start()
        self._go_to_wanted()

    # --- inside --------------------------------------------------------------------------

    def _list(self) -> None:
        words = self.search.text().strip()
        hits = search(self._pages, words)
        self.contents.show_rows(hits if words else self._pages)
        self.none.setVisible(bool(words) and not hits)
        if not words:
            self.contents.mark(self.key)

    def _choose_language(self, language: str) -> None:
        self.speak(language)
        self.language_chosen.emit(language)

    def _show_article(self, title: str, sections: tuple[Section, ...]) -> None:
        self.title.setText(title)
        for _, old in self._sections:
            old.hide()
            old.deleteLater()
        self._sections = []
        self._waiting = list(sections)
        self._add_sections()

    def _add_sections(self) -> None:
        """Draw sections for a while; the rest follows between events."""
        until = time.perf_counter() + SLICE_S
        while self._waiting:
            section = self._waiting.pop(0)
            head = f"## {section.heading}\n\n" if self._sections else ""
            text = CardText(self._theme, head + section.text.strip())
            self._sections.append((section.heading, text))
            self._article.insertWidget(self._article.count() - 1, text)
            if time.perf_counter() > until:
                break
        if self._waiting:
            self._drawing.start()

    def _go_to_wanted(self) -> None:
        if not self._settled.isActive():
            return
        found = next((part for name, part in self._sections[1:] if name == self._wanted), None)
        self.area.verticalScrollBar().setValue(found.y() if found is not None else 0)

    def _apply_sheet(self) -> None:
        self.area.setStyleSheet(self._theme.fill(SHEET))

    def _lay_out(self) -> None:
        self.heading = text_label("", "section")
        left = QFrame()
        left.setObjectName("helpContents")
        left.setFixedWidth(CONTENTS_WIDTH)
        column = QVBoxLayout(left)
        column.setContentsMargins(10, 16, 10, 8)
        column.setSpacing(SIZES["space"])
        self.heading.setContentsMargins(8, 0, 0, 0)
        column.addWidget(self.heading)
        column.addWidget(self.search)
        column.addWidget(self.none)
        column.addWidget(self.contents, 1)
        column.addWidget(self.languages)
        sheet = QWidget()
        sheet.setProperty("page", True)
        middle = QWidget()
        middle.setMaximumWidth(ARTICLE_WIDTH)
        self._article = QVBoxLayout(middle)
        self._article.setContentsMargins(0, 0, 0, SIZES["space-6"])
        self._article.setSpacing(SIZES["space-3"])
        self._article.addWidget(self.title)
        self._article.addStretch(1)
        around = QHBoxLayout(sheet)
        around.setContentsMargins(SIZES["space-4"], SIZES["space-4"], SIZES["space-4"], 0)
        around.addStretch(1)
        around.addWidget(middle, 100)
        around.addStretch(1)
        self.area.setWidgetResizable(True)
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setWidget(sheet)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(left)
        row.addWidget(self.area, 1)
