"""Find models: the short list first, then what the hub has, and a repository's page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Literal, cast

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QCompleter,
    QHBoxLayout,
    QLineEdit,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from freehold.errors import AppError
from freehold.ui.library.repository_view import RepositoryView
from freehold.ui.library.result_card import ResultCard, catalog_card, hub_card
from freehold.ui.library.token_dialog import account_words, ask_token
from freehold.ui.state.downloads import DownloadsState
from freehold.ui.state.session import Session
from freehold.ui.tasks import spawn
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.buttons import push_button
from freehold.ui.widgets.cards import section_title
from freehold.ui.widgets.labels import text_label
from freehold.ui.widgets.scroll_page import ScrollPage
from freehold.ui.widgets.virtual_column import VirtualColumn
from freehold.wire_library import CatalogEntry, HubModel, HubQuery

Sort = Literal["trending", "downloads", "likes", "newest"]
SORTS: Final = (
    ("Trending", "trending"),
    ("Most downloaded", "downloads"),
    ("Most liked", "likes"),
    ("Newest", "newest"),
)
LICENCES: Final = (
    ("Any licence", ""),
    ("Apache 2.0", "apache-2.0"),
    ("MIT", "mit"),
    ("Llama", "llama3.3"),
    ("Gemma", "gemma"),
    ("Other", "other"),
)
EMBEDDINGS: Final = "feature-extraction"
TASKS: Final = (
    ("Any task", ""),
    ("Text", "text-generation"),
    ("Text and images", "image-text-to-text"),
    ("Embeddings", EMBEDDINGS),
)
ARCHITECTURES: Final = (
    "deepseek2", "gemma3", "glm4moe", "gpt-oss", "kimi-linear", "llama", "llama4", "minimax-m2",
    "mistral3", "phi3", "qwen2", "qwen3", "qwen3moe", "qwen3next",
)  # fmt: skip
PAUSE_MS: Final = 400
MOST_SHOWN: Final = 40


class FindPage(QWidget):
    """Signals: chat_requested(ref): begin a chat with that model; said(text)."""

    chat_requested = Signal(str)
    said = Signal(str)

    def __init__(
        self,
        session: Session,
        downloads: DownloadsState,
        theme: Theme,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        self._catalog: tuple[CatalogEntry, ...] = ()
        self._found: tuple[HubModel, ...] = ()
        self._task: asyncio.Task[None] | None = None
        self.setAccessibleName("Find models")
        self.list = ScrollPage("Find models", "")
        self.token = push_button(theme, "Your token…", self._show_token, kind="quiet")
        self.list.head_buttons.addWidget(self.token)
        self.field = QLineEdit()
        self.field.setPlaceholderText("Name of a model, or OWNER/NAME")
        self.field.setAccessibleName("Search for models")
        self.field.setClearButtonEnabled(True)
        self.author = _small_field("Author", "Only models of this account")
        self.architecture = _small_field("Architecture", "Such as deepseek2 or qwen3moe")
        self.architecture.setCompleter(QCompleter(ARCHITECTURES, self.architecture))
        self.sort = _combo("Order", SORTS)
        self.licence = _combo("Licence", LICENCES)
        self.task = _combo("Task", TASKS)
        self._made: dict[str, Callable[[], QWidget]] = {}
        self.results: VirtualColumn[QWidget] = VirtualColumn(
            self.list, lambda key: self._made[key]()
        )
        self.status = text_label("", "muted", wrap=True)
        self.problem = text_label("", "danger", wrap=True)
        self.again = push_button(theme, "Try again", self.search)
        self.view = RepositoryView(session, downloads, theme)
        self.view.left.connect(self.show_list)
        self.view.chat_requested.connect(self.chat_requested)
        self.view.said.connect(self.said)
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(PAUSE_MS)
        self._pause.timeout.connect(self.search)
        self._lay_out()
        self.field.textChanged.connect(self._pause.start)
        for narrow in (self.author, self.architecture):
            narrow.textChanged.connect(self._pause.start)
        for field in (self.field, self.author, self.architecture):
            field.returnPressed.connect(self.search)
        for combo in (self.sort, self.licence, self.task):
            combo.activated.connect(self.search)
        session.connected.connect(self._begin)
        if session.is_connected:
            self._begin()

    # --- searching -----------------------------------------------------------------------

    @property
    def query(self) -> HubQuery:
        """Return what the fields ask for."""
        return HubQuery(
            text=self.field.text().strip(),
            author=self.author.text().strip(),
            architecture=self.architecture.text().strip(),
            sort=cast(Sort, self.sort.currentData()),
            licence=self.licence.currentData(),
            task=self.task.currentData(),
            limit=MOST_SHOWN,
        )

    def search(self) -> None:
        """Ask the hub; a newer question replaces the one under way."""
        self._pause.stop()
        if self._task is not None and not self._task.done():
            self._task.cancel()
        self._task = spawn(self, self._search(self.query), failed=self._show_problem)

    def show_list(self) -> None:
        """Go back from a repository's page."""
        self.pages.setCurrentWidget(self.list)

    def open_repository(self, repository: str) -> None:
        """Show a repository's page."""
        self.view.open(repository)
        self.pages.setCurrentWidget(self.view)

    def cards(self) -> list[ResultCard]:
        """Return the cards that exist: those near the screen, from top to bottom."""
        cards = self.results.cards
        ordered = [cards[key] for key in self.results.keys if key in cards]
        return [card for card in ordered if isinstance(card, ResultCard)]

    def _show_token(self) -> None:
        spawn(self, self._change_token(), name="token", failed=self._session.show_error)

    async def _change_token(self) -> None:
        now = await self._session.client.hub_account()
        account = await ask_token(self._theme, self, self._session, now)
        if account is not None:
            self.said.emit(account_words(account))
            self.search()

    def _begin(self) -> None:
        if not self._catalog:
            spawn(self, self._read_catalog(), failed=self._show_problem)
        self.search()

    async def _read_catalog(self) -> None:
        self._catalog = await self._session.client.catalog()
        self._show()

    async def _search(self, query: HubQuery) -> None:
        self._say("Searching the hub…")
        self.problem.hide()
        self.again.hide()
        self._found = await self._session.client.search_hub(query)
        self._say("" if self._found else "The hub has no model in GGUF format for this.")
        self._show()

    def _show_problem(self, error: AppError) -> None:
        self._found = ()
        self._say("")
        self.problem.setText(error.sentence)
        self.problem.show()
        self.again.setVisible(error.retryable)
        self._show()

    # --- showing -------------------------------------------------------------------------

    def _say(self, text: str) -> None:
        self.status.setText(text)
        self.status.setVisible(bool(text))

    def _show(self) -> None:
        query = self.query
        short = [e for e in self._catalog if _matches(e, query)]
        listed = {entry.repository for entry in short}
        others = [model for model in self._found if model.repository not in listed]
        self._made = {}
        if short:
            self._made["To begin with"] = lambda: section_title("To begin with")
        for entry in short:
            self._made[f"short {entry.repository}"] = partial(
                catalog_card, self._theme, entry, self.open_repository
            )
        if others:
            self._made["On the hub"] = lambda: section_title("On the hub")
        for model in others:
            self._made[f"hub {model.repository}"] = partial(
                hub_card, self._theme, model, self.open_repository
            )
        self.results.clear()
        self.results.show_keys(list(self._made))

    def _lay_out(self) -> None:
        filters = QHBoxLayout()
        filters.setSpacing(SIZES["space"])
        for field in (self.author, self.architecture):
            filters.addWidget(field, 1)
        for combo in (self.task, self.licence, self.sort):
            filters.addWidget(combo)
        column = self.list.column
        column.addWidget(self.field)
        column.addLayout(filters)
        column.addWidget(self.status)
        column.addWidget(self.problem)
        column.addWidget(self.again, 0, Qt.AlignmentFlag.AlignLeft)
        column.addWidget(self.results)
        column.addStretch(1)
        self._say("")
        self.problem.hide()
        self.again.hide()
        self.pages = QStackedWidget()
        self.pages.addWidget(self.list)
        self.pages.addWidget(self.view)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.pages)


def _matches(entry: CatalogEntry, query: HubQuery) -> bool:
    """Return whether a model of the short list is what the fields ask for."""
    text = f"{entry.name} {entry.family} {entry.repository} {entry.architecture}".casefold()
    author = query.author.casefold()
    embeds = query.task == EMBEDDINGS
    return (
        all(word in text for word in query.text.casefold().split())
        and (not author or entry.repository.casefold().startswith(f"{author}/"))
        and query.architecture.casefold() in entry.architecture.casefold()
        and (not query.licence or query.licence == entry.licence.casefold())
        and (not query.task or embeds == (entry.kind == "embedding"))
    )


def _small_field(name: str, tip: str) -> QLineEdit:
    field = QLineEdit()
    field.setPlaceholderText(name)
    field.setAccessibleName(name)
    field.setToolTip(tip)
    field.setClearButtonEnabled(True)
    field.setMinimumWidth(110)
    return field


def _combo(name: str, choices: Sequence[tuple[str, str]]) -> QComboBox:
    combo = QComboBox()
    combo.setAccessibleName(name)
    for text, value in choices:
        combo.addItem(text, value)
    return combo
