"""The reply that is being written: what came, what is shown, and when to draw next.

Deltas carry the offset they belong to. One that does not follow means something was missed: the
message is read again. Drawing is asked for at most every `max(50 ms, 3 x the last drawing)`, so a
slow machine draws less often instead of falling behind; the end is drawn at once.
"""

from __future__ import annotations

import time
from typing import Final

from PySide6.QtCore import QObject, QTimer, Signal

from freehold.errors import AppError
from freehold.ui.state.pace import Pace
from freehold.ui.state.session import Session
from freehold.ui.tasks import spawn
from freehold.wire import Message, ReplyDelta, ReplyFinished, ReplyProgress

FLUSH_MS: Final = 50
RENDER_SHARE: Final = 3
BUSY: Final = ("waiting", "streaming")


class _Part:
    """One growing text."""

    def __init__(self, text: str = "") -> None:
        self.pieces = [text] if text else []
        self.length = len(text)

    def text(self) -> str:
        if len(self.pieces) > 1:
            self.pieces = ["".join(self.pieces)]
        return self.pieces[0] if self.pieces else ""

    def add(self, offset: int, text: str) -> bool:
        """Add what is new of a delta; False if something before it is missing."""
        if offset > self.length:
            return False
        fresh = text[self.length - offset :]
        if fresh:
            self.pieces.append(fresh)
            self.length += len(fresh)
        return True


class Reply(QObject):
    """View-model of one streaming reply.

    Signals:
        flush_due: text came since the last drawing; call `note_render` with how long it took.
        progress_changed: `progress` or `tokens_per_s` changed.
        finished: the reply is final; `message` holds it. `flush_due` was emitted before.
    """

    flush_due = Signal()
    progress_changed = Signal()
    finished = Signal()

    def __init__(self, message: Message, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._message = message
        self._content = _Part(message.content)
        self._reasoning = _Part(message.reasoning)
        self._missed: list[ReplyDelta] = []
        self._reading = False
        self._final: Message | None = None
        self.progress: ReplyProgress | None = None
        self.tokens_per_s = 0.0
        self._pace = Pace()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.flush_due)
        self._render_ms = 0.0

    @property
    def id(self) -> str:
        """Return the id of the reply's message."""
        return self._message.id

    @property
    def message(self) -> Message:
        """Return the message as last read; its texts may be behind `content` while it grows."""
        return self._final or self._message

    @property
    def content(self) -> str:
        """Return the answer as far as it came."""
        return self._content.text()

    @property
    def reasoning(self) -> str:
        """Return the thinking as far as it came."""
        return self._reasoning.text()

    @property
    def left_s(self) -> float | None:
        """Return how long what comes before the text still takes, an estimate."""
        return self._pace.left_s

    @property
    def is_final(self) -> bool:
        """Return whether nothing more will come."""
        return self._final is not None

    def note_render(self, spent_ms: float) -> None:
        """Learn how long the drawing took, to leave time for everything else."""
        self._render_ms = spent_ms

    def take(self, event: ReplyDelta | ReplyProgress | ReplyFinished) -> None:
        """Take an event of this reply; events of others are dropped."""
        if isinstance(event, ReplyFinished):
            if event.message.id == self.id and not self.is_final:
                self.finish(event.message)
        elif event.message_id != self.id or self.is_final:
            return
        elif isinstance(event, ReplyProgress):
            self.progress = event
            self._pace.note(event.phase, event.done, event.total, time.monotonic())
            self.progress_changed.emit()
        else:
            self._take_delta(event)

    def read_again(self) -> None:
        """Ask the server for the message as it is stored now."""
        if self._reading or self.is_final:
            return
        self._reading = True
        spawn(self, self._read())

    def finish(self, message: Message) -> None:
        """Take the final message and have it drawn at once."""
        self._replace(message)
        self._final = message
        self._timer.stop()
        self.flush_due.emit()
        self.finished.emit()

    # --- inside ----------------------------------------------------------------------------------

    def _take_delta(self, delta: ReplyDelta) -> None:
        if self._reading:
            self._missed.append(delta)
            return
        part = self._content if delta.part == "content" else self._reasoning
        if not part.add(delta.offset, delta.text):
            self._missed.append(delta)
            self.read_again()
            return
        if delta.tokens_per_s:
            self.tokens_per_s = delta.tokens_per_s
        self.progress = None
        self._flush_soon()

    async def _read(self) -> None:
        try:
            message = await self._session.client.message(self.id)
        except AppError:
            # The line is down; the next delta or the session's reconnection asks again.
            self._reading = False
            self._missed.clear()
            return
        self._reading = False
        if self.is_final:
            return
        if message.status not in BUSY:
            self.finish(message)
            return
        self._replace(message)
        self._message = message
        missed, self._missed = self._missed, []
        for delta in missed:
            self._take_delta(delta)
        self._flush_soon()

    def _replace(self, message: Message) -> None:
        self._content = _Part(message.content)
        self._reasoning = _Part(message.reasoning)

    def _flush_soon(self) -> None:
        if not self._timer.isActive():
            self._timer.start(round(max(FLUSH_MS, RENDER_SHARE * self._render_ms)))
