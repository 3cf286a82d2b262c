"""The downloads of the server as the window shows them, followed by events."""

from __future__ import annotations

import asyncio

from PySide6.QtCore import QObject, Signal

from freehold.ui.state.session import Session
from freehold.ui.tasks import spawn
from freehold.wire import Changed, Download, DownloadChanged

ACTIVE = ("queued", "running", "verifying")


class DownloadsState(QObject):
    """What the downloads panel shows.

    Signals:
        rows_changed: downloads came, went or changed places.
        row_changed(id): that download, and no other, is different.
        finished(Download): a download became a model while the window watched.
    """

    rows_changed = Signal()
    row_changed = Signal(str)
    finished = Signal(object)

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._rows: dict[str, Download] = {}
        self._reading: asyncio.Task[None] | None = None
        session.connected.connect(self.refresh)
        session.event_received.connect(self._take_event)
        if session.is_connected:
            self.refresh()

    @property
    def rows(self) -> tuple[Download, ...]:
        """Return every download in the order of the queue."""
        return tuple(self._rows.values())

    @property
    def active(self) -> tuple[Download, ...]:
        """Return the downloads that run or wait for their turn."""
        return tuple(row for row in self.rows if row.state in ACTIVE)

    def row(self, identifier: str) -> Download | None:
        """Return a download, None when it is no longer listed."""
        return self._rows.get(identifier)

    def of_variant(self, repository: str, variant: str) -> Download | None:
        """Return the download of a variant, None when there is none."""
        return next(
            (r for r in self.rows if (r.repository, r.variant) == (repository, variant)), None
        )

    def refresh(self) -> None:
        """Read the list again, once, however often this is asked meanwhile."""
        if self._reading is None or self._reading.done():
            self._reading = spawn(self, self._read(), failed=lambda _error: None)

    async def start(self, repository: str, variant: str) -> Download:
        """Put a variant into the queue."""
        download = await self._session.client.start_download(repository, variant)
        self._take(download)
        return download

    async def pause(self, identifier: str) -> None:
        """Stop a download; what arrived is kept."""
        self._take(await self._session.client.pause_download(identifier))

    async def resume(self, identifier: str) -> None:
        """Go on with a download."""
        self._take(await self._session.client.resume_download(identifier))

    async def move_first(self, identifier: str) -> None:
        """Let a download be the next."""
        await self._session.client.move_download(identifier, 0)

    async def cancel(self, identifier: str) -> None:
        """Take a download off the list; an unfinished one is deleted."""
        await self._session.client.cancel_download(identifier)
        self._drop(identifier)

    # --- inside --------------------------------------------------------------------------

    async def _read(self) -> None:
        rows = {row.id: row for row in await self._session.client.downloads()}
        old, self._rows = self._rows, rows
        if list(old) != list(rows):
            self.rows_changed.emit()
        for identifier, row in rows.items():
            if identifier in old and old[identifier] != row:
                self.row_changed.emit(identifier)

    def _take_event(self, event: object) -> None:
        if isinstance(event, DownloadChanged):
            if event.download is None:
                self._drop(event.id)
            else:
                self._take(event.download)
        elif isinstance(event, Changed) and event.topic == "downloads":
            self.refresh()

    def _take(self, download: Download) -> None:
        old = self._rows.get(download.id)
        if old == download:
            return
        self._rows[download.id] = download
        if old is None:
            self.rows_changed.emit()
        else:
            self.row_changed.emit(download.id)
            if download.state == "done" and old.state != "done":
                self.finished.emit(download)

    def _drop(self, identifier: str) -> None:
        if self._rows.pop(identifier, None) is not None:
            self.rows_changed.emit()
