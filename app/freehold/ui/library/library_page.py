"""The Models page: what is on this machine, what can be found, and the downloads below both."""

from __future__ import annotations

from functools import cached_property
from typing import Final

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QHBoxLayout,
    QPushButton,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from freehold.errors import AppError
from freehold.ui.library.downloads_panel import DownloadsPanel
from freehold.ui.library.duplicates_dialog import DuplicatesDialog
from freehold.ui.library.find_page import FindPage
from freehold.ui.library.folders_dialog import FoldersDialog
from freehold.ui.library.inspect.page import InspectPage
from freehold.ui.library.making_panel import MakingPanel
from freehold.ui.library.model_card import ModelCard
from freehold.ui.library.page import ModelsPage
from freehold.ui.state.downloads import DownloadsState
from freehold.ui.state.making import MakingState
from freehold.ui.state.models import ModelsState
from freehold.ui.state.session import Session
from freehold.ui.state.settings import SettingsState
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.buttons import push_button
from freehold.wire import Download

HERE: Final = "here"
FIND: Final = "find"
TABS: Final = ((HERE, "On this machine"), (FIND, "Find models"))


class LibraryPage(QWidget):
    """Signals: chat_requested(ref): begin a chat with that model; said(text): done, confirm it."""

    chat_requested = Signal(str)
    said = Signal(str)

    def __init__(
        self,
        session: Session,
        models: ModelsState,
        settings: SettingsState,
        theme: Theme,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._models, self._theme = session, models, theme
        self._settings = settings
        self.setAccessibleName("Models")
        self.state = DownloadsState(session, self)
        self.here = ModelsPage(session, models, settings, theme)
        self.finder = FindPage(session, self.state, theme)
        self.downloads = DownloadsPanel(session, self.state, models, settings, theme)
        self.making = MakingState(session, self)
        self.making.finished.connect(lambda job: self.said.emit(f"{job.name} is ready."))
        self.making_panel = MakingPanel(self.making, theme)
        self.here.inspect_requested.connect(self.inspect)
        self._buttons: dict[str, QToolButton] = {}
        for part in (self.here, self.finder, self.downloads):
            part.chat_requested.connect(self.chat_requested)
            part.said.connect(self.said)
        self.downloads.loading.connect(lambda _ref: self.go_to(HERE))
        self.here.find_requested.connect(lambda: self.go_to(FIND))
        self.state.finished.connect(self._tell_finished)
        self.folders_button = push_button(theme, "Folders…", lambda: self.folders.open())
        self.here.list.head_buttons.insertWidget(0, self.folders_button)
        self.duplicates_button = push_button(
            theme, "Duplicates…", lambda: self.duplicates.look(), kind="quiet"
        )
        self.here.list.head_buttons.insertWidget(0, self.duplicates_button)
        self._lay_out()
        self.go_to(HERE)

    def go_to(self, key: str) -> None:
        """Show one of the two lists."""
        self._pages.setCurrentWidget(self.finder if key == FIND else self.here)
        for name, button in self._buttons.items():
            button.setChecked(name == key)

    @cached_property
    def inspector(self) -> InspectPage:
        """Return the page of a model's file, made when it is first wanted."""
        page = InspectPage(self._session, self._theme)
        page.left.connect(lambda: self.go_to(HERE))
        self._pages.addWidget(page)
        return page

    @cached_property
    def folders(self) -> FoldersDialog:
        """Return the list of the person's folders, made when it is first wanted."""
        return FoldersDialog(self._session, self._settings, self._theme, self)

    @cached_property
    def duplicates(self) -> DuplicatesDialog:
        """Return the list of duplicates, made when it is first wanted."""
        return DuplicatesDialog(self._session, self._theme, self.here.remove, self)

    def inspect(self, ref: str) -> None:
        """Show what a model's files hold."""
        row = self._models.row(ref)
        self.inspector.open(ref, row.entry.name if row is not None else ref)
        self._pages.setCurrentWidget(self.inspector)

    def tab(self, key: str) -> QToolButton:
        """Return the button of a list."""
        return self._buttons[key]

    def show_error(self, error: AppError) -> None:
        """Hand an action's error to the window."""
        self._session.show_error(error)

    # --- of the list on this machine -----------------------------------------------------

    @property
    def import_button(self) -> QPushButton:
        """Return the button that adds a file."""
        return self.here.import_button

    def card(self, ref: str) -> ModelCard:
        """Return the card of a model on this machine."""
        return self.here.card(ref)

    def choose_file(self) -> None:
        """Let the person choose a file to add."""
        self.go_to(HERE)
        self.here.choose_file()

    def import_files(self, paths: list[str]) -> None:
        """Add files to the list on this machine."""
        self.go_to(HERE)
        self.here.import_files(paths)

    # --- inside --------------------------------------------------------------------------

    def _tell_finished(self, download: Download) -> None:
        self.said.emit(f"{download.repository.partition('/')[2]} {download.variant} is ready.")

    def _lay_out(self) -> None:
        tabs = QHBoxLayout()
        tabs.setSpacing(SIZES["space-half"])
        for key, text in TABS:
            button = QToolButton()
            button.setText(text)
            button.setCheckable(True)
            button.setProperty("tab", True)
            button.setAccessibleName(text)
            button.clicked.connect(lambda _checked=False, key=key: self.go_to(key))
            self._buttons[key] = button
            tabs.addWidget(button)
        tabs.addStretch(1)
        middle = QWidget()
        middle.setMaximumWidth(SIZES["page-width"])
        middle.setLayout(tabs)
        tabs.setContentsMargins(0, 0, 0, 0)
        head = QHBoxLayout()
        head.setContentsMargins(SIZES["space-4"], SIZES["space-2"], SIZES["space-4"], 0)
        head.addStretch(1)
        head.addWidget(middle, 100)
        head.addStretch(1)
        self._pages = QStackedWidget()
        self._pages.addWidget(self.here)
        self._pages.addWidget(self.finder)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(head)
        column.addWidget(self._pages, 1)
        column.addWidget(self.making_panel)
        column.addWidget(self.downloads)
