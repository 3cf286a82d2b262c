"""A repository's page: what it is, its variants with their fit, and its card."""

from __future__ import annotations

import asyncio
from typing import Final

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QWidget

from freehold.errors import AppError
from freehold.ui.chats.sheet import SHEET
from freehold.ui.library.card_text import CardText
from freehold.ui.library.downloads_panel import open_page
from freehold.ui.library.token_dialog import account_words, ask_token
from freehold.ui.library.variant_row import VariantActions, VariantRow
from freehold.ui.library.words import joined, model_facts
from freehold.ui.state.downloads import DownloadsState
from freehold.ui.state.session import Session
from freehold.ui.tasks import spawn
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.buttons import push_button
from freehold.ui.widgets.cards import Card, rule, section_title
from freehold.ui.widgets.labels import text_label
from freehold.ui.widgets.scroll_page import ScrollPage
from freehold.units import format_bytes
from freehold.wire_library import HubPage, HubVariant

LONGEST_CARD: Final = 60_000


class RepositoryView(ScrollPage):
    """Signals: left: back to the list; chat_requested(ref); said(text)."""

    left = Signal()
    chat_requested = Signal(str)
    said = Signal(str)

    def __init__(
        self,
        session: Session,
        downloads: DownloadsState,
        theme: Theme,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__("", " ", parent)
        self._session, self._downloads, self._theme = session, downloads, theme
        self._repository = ""
        self._page: HubPage | None = None
        self._task: asyncio.Task[None] | None = None
        self._parts: list[QWidget] = []
        self.rows: dict[str, VariantRow] = {}
        self._actions = VariantActions(
            download=lambda v: spawn(self, self._download(v), failed=self._show_problem),
            inspect=self._inspect,
            chat=self.chat_requested.emit,
        )
        self.back = push_button(theme, "Back", self.left.emit, kind="quiet", icon="chevron-left")
        self.link = push_button(theme, "Open its page", self._open, kind="quiet", icon="link")
        self.head_buttons.addWidget(self.link)
        self.column.insertWidget(0, self.back, 0, Qt.AlignmentFlag.AlignLeft)
        self.problem = text_label("", "danger", wrap=True)
        self.problem.hide()
        self.column.addWidget(self.problem)
        self.remedies = QWidget()
        row = QHBoxLayout(self.remedies)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(SIZES["space"])
        self.again = push_button(theme, "Try again", self.refresh)
        self.token = push_button(theme, "Give a token…", lambda: spawn(self, self._give_token()))
        row.addWidget(self.again)
        row.addWidget(self.token)
        row.addStretch(1)
        self.remedies.hide()
        self.column.addWidget(self.remedies)
        self.column.addStretch(1)
        theme.changed.connect(self._dress)
        self._dress()
        downloads.rows_changed.connect(self._show_downloads)
        downloads.row_changed.connect(lambda _id: self._show_downloads())

    @property
    def repository(self) -> str:
        """Return which repository is shown."""
        return self._repository

    def open(self, repository: str) -> None:
        """Read a repository's page and show it."""
        self._repository = repository
        self.title.setText(repository)
        self._clear()
        self.refresh()
        self.verticalScrollBar().setValue(0)

    def refresh(self) -> None:
        """Read the page again."""
        self.problem.hide()
        self.remedies.hide()
        self.say("Reading its page…")
        if self._task is not None and not self._task.done():
            self._task.cancel()
        self._task = spawn(self, self._read(self._repository), failed=self._show_problem)

    async def _read(self, repository: str) -> None:
        page = await self._session.client.hub_page(repository)
        self._page = page
        self._show(page)
        best = next((row for row in self.rows.values() if row.variant.recommended), None)
        fit = best.variant.fit if best is not None else None
        if best is not None and fit is not None and fit.level == "estimated":
            spawn(best, self._make_exact(best), name="exact fit", failed=lambda _error: None)

    async def _make_exact(self, row: VariantRow) -> None:
        """Read the headers of the variant that is recommended: its fit is then calculated."""
        facts = await self._session.client.variant_facts(self._repository, row.variant.name)
        if self.rows.get(row.variant.name) is row:
            row.show_exact(facts)

    # --- actions -------------------------------------------------------------------------

    async def _download(self, variant: HubVariant) -> None:
        self.problem.hide()
        self.remedies.hide()
        await self._downloads.start(self._repository, variant.name)

    def _inspect(self, variant: HubVariant) -> None:
        row = self.rows[variant.name]
        row.inspect.setEnabled(False)
        row.facts.setText("Reading its headers…")
        row.facts.show()
        spawn(
            row,
            self._read_facts(row),
            failed=lambda error: row.show_problem(error.sentence),
        )

    async def _read_facts(self, row: VariantRow) -> None:
        row.show_facts(await self._session.client.variant_facts(self._repository, row.variant.name))

    async def _give_token(self) -> None:
        account = await ask_token(self._theme, self, self._session)
        if account is not None:
            self.said.emit(account_words(account))
            self.refresh()

    def _open(self) -> None:
        if self._page is not None:
            open_page(self._page.link)

    # --- showing -------------------------------------------------------------------------

    def _show_problem(self, error: AppError) -> None:
        if self._page is None:
            self.say("")
        self.problem.setText(error.sentence)
        self.problem.show()
        self.remedies.show()
        private = error.detail.get("reason") in ("no_token", "denied", "not_found")
        self.token.setVisible(private)
        self.again.setVisible(self._page is None)
        self.ensureWidgetVisible(self.problem)

    def _clear(self) -> None:
        self._page = None
        self.rows = {}
        for part in self._parts:
            part.hide()
            part.deleteLater()
        self._parts = []

    def _show(self, page: HubPage) -> None:
        self._clear()
        self._page = page
        base = f"made from {page.model.base_model}" if page.model.base_model else ""
        self.say(joined(model_facts(page.model), base) or "The hub knows nothing more of it.")
        self.link.setVisible(page.link.startswith("https://"))
        if page.model.gated:
            self._add(
                text_label(
                    "Gated: sign in on the hub and accept its licence before you download.",
                    "warning",
                    wrap=True,
                )
            )
        self._add(section_title("Variants"))
        self._add(self._variants(page))
        notes = []
        if page.refused:
            notes.append(f"{page.refused} files are not offered because of unsafe names.")
        if page.free_bytes:
            notes.append(f"{format_bytes(page.free_bytes)} are free for models.")
        if notes:
            self._add(text_label(" ".join(notes), "small", wrap=True))
        if page.card.strip():
            self._add(section_title("Model card"))
            card = Card()
            card.body.addWidget(CardText(self._theme, page.card[:LONGEST_CARD]))
            self._add(card)
        self._show_downloads()

    def _variants(self, page: HubPage) -> Card:
        card = Card()
        if not page.variants:
            card.body.addWidget(text_label("This repository has no GGUF files.", "muted"))
        for number, variant in enumerate(page.variants):
            if number:
                card.body.addWidget(rule())
            row = VariantRow(self._theme, variant, page.free_bytes, self._actions)
            self.rows[variant.name] = row
            card.body.addWidget(row)
        return card

    def _add(self, part: QWidget) -> None:
        self._parts.append(part)
        self.column.insertWidget(self.column.count() - 1, part)

    def _show_downloads(self) -> None:
        for name, row in self.rows.items():
            row.show_download(self._downloads.of_variant(self._repository, name))

    def _dress(self) -> None:
        """Take the theme's colours, which are baked into the card's text."""
        self.setStyleSheet(self._theme.fill(SHEET))
        for part in self._parts:
            for body in part.findChildren(CardText):
                body.draw_again()
