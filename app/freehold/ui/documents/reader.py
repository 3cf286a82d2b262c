"""The built-in reader: a document beside the chat, with the cited sentence boxed."""

from __future__ import annotations

from functools import partial
from typing import Final

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import (
    QGuiApplication,
    QImage,
    QIntValidator,
    QKeyEvent,
    QKeySequence,
    QResizeEvent,
    QShortcut,
)
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from freehold.errors import AppError
from freehold.ui.documents.reader_page import ReaderPage
from freehold.ui.documents.reader_text import ReaderText
from freehold.ui.documents.words import icon_of
from freehold.ui.icons import pixmap
from freehold.ui.state.delay import Delay
from freehold.ui.state.reading import Reading, Shown
from freehold.ui.state.session import Session
from freehold.ui.theme import Theme
from freehold.ui.widgets.buttons import icon_button
from freehold.ui.widgets.empty_state import EmptyState
from freehold.ui.widgets.labels import ElidedLabel, prose, text_label

LEAST_WIDTH: Final = 360
SEARCH_MS: Final = 300


class Reader(QFrame):
    """Signals: closed: the person is done with it."""

    closed = Signal()

    def __init__(self, session: Session, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.reading = Reading(session, self)
        self.setObjectName("reader")
        self.setMinimumWidth(LEAST_WIDTH)
        self.setAccessibleName("Reader")
        self.page_view = ReaderPage(self)
        self.text_view = ReaderText(theme, self)
        self.problem = EmptyState(theme, "error", "It cannot be shown", "")
        self.waiting = EmptyState(theme, "documents", "Opening…", "")
        self.stack = QStackedWidget(self)
        for view in (self.waiting, self.page_view, self.text_view, self.problem):
            self.stack.addWidget(view)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self._make_head())
        column.addWidget(self._make_search())
        self.note = text_label("", "small", wrap=True, parent=self)
        self.note.setContentsMargins(14, 6, 14, 6)
        self.note.hide()
        column.addWidget(self.note)
        column.addWidget(self.stack, 1)
        column.addWidget(self._make_foot())
        self._delay = Delay(SEARCH_MS, lambda: self.reading.search(self.words.text()), self)
        self._connect()

    # --- parts -----------------------------------------------------------------------------------

    def _make_head(self) -> QWidget:
        theme, reading = self._theme, self.reading
        head = QFrame(self)
        head.setObjectName("readerHead")
        self._icon = QLabel(head)
        self.title = ElidedLabel("", "strong", mode=Qt.TextElideMode.ElideMiddle, parent=head)
        self.close_button = icon_button(theme, "close", "Close the reader (Esc)", self.closed.emit)
        first = QHBoxLayout()
        first.setSpacing(8)
        first.addWidget(self._icon)
        first.addWidget(self.title, 1)
        self.previous_button = icon_button(
            theme, "chevron-left", "Previous page", partial(reading.step_page, -1)
        )
        self.next_button = icon_button(
            theme, "chevron-right", "Next page", partial(reading.step_page, 1)
        )
        self.number = QLineEdit(head)
        self.number.setFixedWidth(52)
        self.number.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.number.setAccessibleName("Page")
        self._numbers = QIntValidator(1, 1, self.number)
        self.number.setValidator(self._numbers)
        self.count = ElidedLabel("", "small", parent=head)
        self.zoom_out = icon_button(theme, "zoom-out", "Smaller", partial(reading.change_zoom, -1))
        self.zoom_in = icon_button(theme, "zoom-in", "Larger", partial(reading.change_zoom, 1))
        self.text_button = icon_button(theme, "doc-text", "Text instead of the page")
        self.text_button.setCheckable(True)
        self.search_button = icon_button(theme, "search", "Search in the document (Ctrl+F)")
        self.search_button.setCheckable(True)
        self.copy_button = icon_button(theme, "copy", "Copy", self.copy)
        second = QHBoxLayout()
        second.setSpacing(2)
        for part in (self.previous_button, self.number, self.next_button):
            second.addWidget(part)
        second.addSpacing(6)
        second.addWidget(self.count, 1)
        for button in (self.zoom_out, self.zoom_in, self.text_button, self.search_button,
                       self.copy_button):  # fmt: skip
            button.setIconSize(QSize(18, 18))
            second.addWidget(button)
        first.addWidget(self.close_button)
        rows = QVBoxLayout(head)
        rows.setContentsMargins(14, 8, 8, 6)
        rows.setSpacing(4)
        rows.addLayout(first)
        rows.addLayout(second)
        return head

    def _make_search(self) -> QWidget:
        theme = self._theme
        self.search_bar = bar = QFrame(self)
        bar.setObjectName("readerHead")
        self.words = QLineEdit(bar)
        self.words.setPlaceholderText("Search in this document")
        self.words.setAccessibleName("Search in this document")
        self.words.setClearButtonEnabled(True)
        self.found = text_label("", "small", parent=bar)
        row = QHBoxLayout(bar)
        row.setContentsMargins(14, 6, 8, 6)
        row.addWidget(self.words, 1)
        row.addWidget(self.found)
        up, down = partial(self.reading.step_hit, -1), partial(self.reading.step_hit, 1)
        row.addWidget(icon_button(theme, "chevron-up", "Previous place", up))
        row.addWidget(icon_button(theme, "chevron-down", "Next place", down))
        bar.hide()
        return bar

    def _make_foot(self) -> QWidget:
        theme = self._theme
        self.foot = foot = QFrame(self)
        foot.setObjectName("readerFoot")
        self.citation_words = ElidedLabel("", "strong", parent=foot)
        self.quote = ElidedLabel("", "small", parent=foot)
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(self.citation_words)
        words.addWidget(self.quote)
        self.back_button = icon_button(
            theme, "chevron-left", "Previous citation", partial(self.reading.step_citation, -1)
        )
        self.on_button = icon_button(
            theme, "chevron-right", "Next citation", partial(self.reading.step_citation, 1)
        )
        row = QHBoxLayout(foot)
        row.setContentsMargins(14, 8, 8, 8)
        row.addLayout(words, 1)
        row.addWidget(self.back_button)
        row.addWidget(self.on_button)
        foot.hide()
        return foot

    def _connect(self) -> None:
        reading = self.reading
        reading.opened.connect(self._on_opened)
        reading.moved.connect(self._on_moved)
        reading.text_came.connect(self._on_text)
        reading.picture_came.connect(self._on_picture)
        reading.searched.connect(self._on_searched)
        reading.failed.connect(self.show_error)
        reading.pictures_failed.connect(self._note_failure)
        self.page_view.turn_asked.connect(reading.step_page)
        self.number.returnPressed.connect(self._on_number)
        self.text_button.toggled.connect(self._on_text_toggled)
        self.search_button.toggled.connect(self._show_search)
        self.words.textChanged.connect(lambda _text: self._delay.start())
        self.words.returnPressed.connect(partial(reading.step_hit, 1))
        self._theme.changed.connect(self._on_moved)
        find = QShortcut(QKeySequence("Ctrl+F"), self)
        find.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        find.activated.connect(lambda: self.search_button.setChecked(True))

    # --- showing ---------------------------------------------------------------------------------

    def show_error(self, error: AppError) -> None:
        """Say why it cannot be shown."""
        self.problem.say(prose(error.message), prose(error.hint))
        self.stack.setCurrentWidget(self.problem)

    def _note_failure(self, error: AppError) -> None:
        self.note.setText(f"{prose(error.sentence)} What is shown is its text.")
        self.note.show()

    def _on_opened(self) -> None:
        self.note.hide()
        self.page_view.clear()
        self.words.clear()
        self.search_button.setChecked(False)
        self.stack.setCurrentWidget(self.waiting)
        self._fit_width()

    def _fit_width(self) -> None:
        # The reader's own width: a page that is not shown yet has none.
        self.reading.fit_width(self.page_view.page_width(self.width()))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit_width()

    def _on_moved(self) -> None:
        reading, info = self.reading, self.reading.info
        if info is None:
            return
        color = self._theme.hex("accent")
        icon = icon_of(info.kind, info.name)
        self._icon.setPixmap(pixmap(icon, color, 18, self.devicePixelRatioF()))
        self.title.setText(info.name)
        self._numbers.setTop(reading.page_count)
        self.number.setText(str(reading.page))
        label = f" · {reading.page_title}" if reading.page_title else ""
        zoom = f" · {reading.zoom:.0%}" if reading.shows_pictures and reading.zoom != 1 else ""
        many = reading.page_count > 1
        pages = f"of {reading.page_count:,}" if many else f"of 1 {info.page_word}"
        self.count.setText(f"{pages}{label}{zoom}")
        self.previous_button.setToolTip(f"Previous {info.page_word}")
        self.next_button.setToolTip(f"Next {info.page_word}")
        self.previous_button.setEnabled(reading.page > 1 or not reading.shows_pictures)
        last = reading.page >= reading.page_count
        self.next_button.setEnabled(not last or not reading.shows_pictures)
        for button in (self.zoom_in, self.zoom_out):
            button.setVisible(reading.shows_pictures)
        self.text_button.setVisible(info.has_pages)
        self.text_button.setChecked(reading.as_text)
        self._show_citation()

    def _show_citation(self) -> None:
        citation, count = self.reading.citation, len(self.reading.citations)
        self.foot.setVisible(citation is not None)
        if citation is not None:
            self.citation_words.setText(
                f"Citation {citation.number} of {count}, {citation.page_word} {citation.page}"
            )
            self.quote.setText(f"“{' '.join(citation.quote.split())}”")
            self.back_button.setEnabled(count > 1)
            self.on_button.setEnabled(count > 1)

    def _on_text(self, shown: Shown) -> None:
        self.stack.setCurrentWidget(self.text_view)
        self.text_view.show_part(shown)

    def _on_picture(self, image: QImage) -> None:
        self.stack.setCurrentWidget(self.page_view)
        self.page_view.show_picture(image, self.reading.mark_share(image))

    def _on_number(self) -> None:
        if self.number.hasAcceptableInput():
            self.reading.go_to_page(int(self.number.text()))

    def _on_text_toggled(self, as_text: bool) -> None:
        if as_text != self.reading.as_text:
            self.reading.show_as_text(as_text)

    # --- searching and copying -------------------------------------------------------------------

    def _show_search(self, shown: bool) -> None:
        self.search_bar.setVisible(shown)
        if shown:
            self.words.setFocus()
            self.words.selectAll()
        else:
            self.words.clear()

    def _on_searched(self) -> None:
        reading = self.reading
        if not reading.query:
            self.found.setText("")
        elif not reading.hits:
            self.found.setText("not found")
        else:
            self.found.setText(f"{reading.hit + 1:,} of {len(reading.hits):,}")

    def copy(self) -> None:
        """Copy what is selected, or the cited sentence, or the text that is shown."""
        text = self.text_view.textCursor().selectedText().replace("\u2029", "\n")
        citation = self.reading.citation
        if not text and citation is not None:
            text = citation.quote
        text = text or self.text_view.toPlainText()
        QGuiApplication.clipboard().setText(text)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            if not self.search_bar.isHidden():
                self.search_button.setChecked(False)
            else:
                self.closed.emit()
        elif event.key() == Qt.Key.Key_PageDown:
            self.reading.step_page(1)
        elif event.key() == Qt.Key.Key_PageUp:
            self.reading.step_page(-1)
        else:
            super().keyPressEvent(event)
