"""The downloads below the Models page: the queue with its progress, and a limit of its speed."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import Qt, QTimer, QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QComboBox, QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from freehold.ui.library.download_row import DownloadActions, DownloadRow
from freehold.ui.library.token_dialog import account_words, ask_token
from freehold.ui.state.downloads import DownloadsState
from freehold.ui.state.models import ModelsState
from freehold.ui.state.session import Session
from freehold.ui.state.settings import SettingsState
from freehold.ui.tasks import spawn
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.cards import rule
from freehold.ui.widgets.labels import text_label
from freehold.ui.widgets.question import Choice, ask
from freehold.units import format_bytes
from freehold.wire import Download

LIMITS_MB: Final = (0, 1, 5, 10, 25, 50, 100, 250)
TALLEST: Final = 300


class DownloadsPanel(QFrame):
    """Hidden while there is nothing to show.

    Signals: chat_requested(ref); loading(ref): the person wants to see that model load; said(text).
    """

    chat_requested = Signal(str)
    loading = Signal(str)
    said = Signal(str)

    def __init__(
        self,
        session: Session,
        downloads: DownloadsState,
        models: ModelsState,
        settings: SettingsState,
        theme: Theme,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._downloads, self._models = session, downloads, models
        self._settings, self._theme = settings, theme
        self._rows: dict[str, DownloadRow] = {}
        self.setObjectName("downloadsPanel")
        self.setAccessibleName("Downloads")
        self._actions = DownloadActions(
            pause=lambda d: spawn(self, downloads.pause(d.id)),
            resume=lambda d: spawn(self, downloads.resume(d.id)),
            first=lambda d: spawn(self, downloads.move_first(d.id)),
            cancel=lambda d: spawn(self, self._cancel(d)),
            load=lambda d: spawn(self, self._load(d)),
            chat=lambda d: self.chat_requested.emit(d.ref),
            open_link=open_page,
            give_token=lambda d: spawn(self, self._give_token(d)),
        )
        self.title = text_label("Downloads", "section")
        self.summary = text_label("", "muted")
        self.limit = QComboBox()
        self.limit.setAccessibleName("Speed limit of downloads")
        for mb in LIMITS_MB:
            self.limit.addItem(f"{mb} MB/s" if mb else "No limit", mb)
        self.limit.activated.connect(self._choose_limit)
        self._lay_out()
        # Once the labels know their width.
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(0)
        self._later.timeout.connect(self._fit_height)
        downloads.rows_changed.connect(self._rebuild)
        downloads.row_changed.connect(self._refresh)
        settings.changed.connect(self._show_limit)
        self._show_limit()
        self._rebuild()

    def row(self, identifier: str) -> DownloadRow:
        """Return the row of a download."""
        return self._rows[identifier]

    # --- actions -------------------------------------------------------------------------

    async def _cancel(self, download: Download) -> None:
        if download.state != "done" and download.done_bytes:
            answer = await ask(
                self._theme,
                self,
                f"Cancel the download of {download.variant}?",
                f"The {format_bytes(download.done_bytes)} that are here already are deleted."
                " To stop for now and go on later, pause it instead.",
                (
                    Choice("keep", "Go on", "quiet"),
                    Choice("pause", "Pause"),
                    Choice("cancel", "Cancel and delete", "danger"),
                ),
            )
            if answer.key == "pause":
                await self._downloads.pause(download.id)
            if answer.key != "cancel":
                return
        await self._downloads.cancel(download.id)

    async def _load(self, download: Download) -> None:
        self.loading.emit(download.ref)
        await self._models.load(download.ref)

    async def _give_token(self, download: Download) -> None:
        account = await ask_token(self._theme, self, self._session)
        if account is not None:
            self.said.emit(account_words(account))
            await self._downloads.resume(download.id)

    def _choose_limit(self, index: int) -> None:
        self._settings.change(download_limit_mb_per_s=self.limit.itemData(index))

    # --- showing -------------------------------------------------------------------------

    def _show_limit(self) -> None:
        wanted = self._settings.values.download_limit_mb_per_s
        index = self.limit.findData(wanted)
        if index < 0:
            self.limit.addItem(f"{wanted} MB/s", wanted)
            index = self.limit.count() - 1
        self.limit.setCurrentIndex(index)

    def _rebuild(self) -> None:
        rows = self._downloads.rows
        for identifier in self._rows.keys() - {row.id for row in rows}:
            gone = self._rows.pop(identifier)
            gone.hide()
            gone.deleteLater()
        while (item := self._column.takeAt(0)) is not None:
            line = item.widget()
            if line is not None and line not in self._rows.values():
                line.deleteLater()
        for place, download in enumerate(rows):
            if place:
                self._column.addWidget(rule())
            row = self._rows.get(download.id)
            if row is None:
                row = self._rows[download.id] = DownloadRow(self._theme, download, self._actions)
            self._column.addWidget(row)
            row.show()
        self._column.addStretch(1)
        for identifier in self._rows:
            self._refresh(identifier)
        self.setVisible(bool(rows))
        self._later.start()

    def _refresh(self, identifier: str) -> None:
        download = self._downloads.row(identifier)
        row = self._rows.get(identifier)
        if download is None or row is None:
            return
        before = row.sizeHint().height()
        ahead = [d.id for d in self._downloads.active]
        row.show_download(download, may_move=bool(ahead) and ahead[0] != identifier)
        speed = sum(d.bytes_per_s for d in self._downloads.active)
        count = len(self._downloads.active)
        words = f"{count} to go" if count else "Nothing under way"
        self.summary.setText(f"{words} · {format_bytes(round(speed))}/s" if speed else words)
        if row.sizeHint().height() != before:
            self._later.start()

    def _fit_height(self) -> None:
        inside = self._column.heightForWidth(self._area.viewport().width())
        self._area.setFixedHeight(min(TALLEST, max(inside, self._column.sizeHint().height()) + 4))

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.setSpacing(SIZES["space-2"])
        head.addWidget(self.title)
        head.addWidget(self.summary)
        head.addStretch(1)
        head.addWidget(text_label("Speed limit", "muted"))
        head.addWidget(self.limit)
        inside = QWidget()
        inside.setProperty("page", True)
        self._column = QVBoxLayout(inside)
        self._column.setContentsMargins(0, 0, SIZES["space"], 0)
        self._column.setSpacing(SIZES["space-half"])
        self._area = QScrollArea()
        self._area.setWidgetResizable(True)
        self._area.setFrameShape(QFrame.Shape.NoFrame)
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._area.setWidget(inside)
        middle = QWidget()
        middle.setMaximumWidth(SIZES["page-width"])
        column = QVBoxLayout(middle)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SIZES["space"])
        column.addLayout(head)
        column.addWidget(self._area)
        outer = QHBoxLayout(self)
        outer.setContentsMargins(
            SIZES["space-4"], SIZES["space-2"], SIZES["space-4"], SIZES["space"]
        )
        outer.addStretch(1)
        outer.addWidget(middle, 100)
        outer.addStretch(1)


def open_page(link: str) -> None:
    """Open a page of the hub in the person's browser."""
    if link.startswith("https://"):
        QDesktopServices.openUrl(QUrl(link))
