"""What stands below an answer that is not (yet) a complete one: waiting, failed, interrupted."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QProgressBar, QVBoxLayout, QWidget

from freehold.ui.icons import pixmap
from freehold.ui.theme import Theme
from freehold.ui.widgets.buttons import push_button
from freehold.ui.widgets.labels import set_role, text_label
from freehold.units import format_duration, format_rate
from freehold.wire import ErrorInfo, Message, ReplyProgress

DOING = {
    "prefill": "Reading the prompt",
    "embedding": "Indexing the documents by meaning",
    "reading": "Going through the documents part by part",
}
UNITS = {"prefill": "tokens", "embedding": "passages", "reading": "passages"}
NEXT_STEP = {
    "engine_crashed": "Write it again: the model is loaded anew.",
    "engine_stalled": "Write it again, or unload the model first.",
}


def progress_text(
    progress: ReplyProgress | None,
    load_percent: int | None,
    rate: float,
    left_s: float | None = None,
) -> str:
    """Return what a reply is doing, in words; `left_s` is how long reading still takes."""
    if progress is None:
        return f"Writing… {format_rate(rate)}" if rate else "Waiting to begin…"
    if progress.phase == "queued":
        ahead = progress.done
        if ahead:
            return f"Waiting: {ahead} ahead in the queue"
        return "Next in the queue…" if progress.total else "Waiting in the queue…"
    if progress.phase == "loading":
        percent = load_percent
        if percent is None and progress.total:
            percent = round(100 * progress.done / progress.total)
        figure = f" {percent} %" if percent is not None else ""
        return f"Loading the model…{figure} Your message is sent when it is ready."
    figure = f"{progress.done:,} of {progress.total:,}"
    if progress.total:
        figure += f" {UNITS[progress.phase]} ({progress.done / progress.total:.0%})"
    left = f", about {format_duration(max(1.0, left_s))} left" if left_s is not None else ""
    return f"{DOING[progress.phase]}: {figure}{left}"


class WaitingLine(QWidget):
    """A thin line of progress and what it is about."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._bar = QProgressBar(self)
        self._bar.setTextVisible(False)
        self._bar.setFixedWidth(120)
        self._words = text_label("", "small", parent=self)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 4, 0, 4)
        row.setSpacing(12)
        row.addWidget(self._bar, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self._words, 1)

    @property
    def text(self) -> str:
        """Return what it says."""
        return self._words.text()

    def say(self, text: str, fraction: float | None) -> None:
        """Say what is going on; without a fraction no bar is drawn."""
        if text != self._words.text():
            self._words.setText(text)
        self._bar.setVisible(fraction is not None)
        if fraction is not None:
            self._bar.setRange(0, 1000)
            self._bar.setValue(round(1000 * fraction))


class FailureCard(QFrame):
    """Why an answer is missing or broken off, and a way on."""

    def __init__(self, theme: Theme, retry: Callable[[], object], parent: QWidget) -> None:
        super().__init__(parent)
        self._theme = theme
        self._mark = QLabel(self)
        self._title = text_label("", "strong", wrap=True, parent=self)
        self._hint = text_label("", "muted", wrap=True, parent=self)
        self.retry_button = push_button(theme, "Try again", retry, icon="refresh", parent=self)
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addWidget(self._title)
        words.addWidget(self._hint)
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 10, 12, 10)
        row.setSpacing(12)
        row.addWidget(self._mark, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(words, 1)
        row.addWidget(self.retry_button, 0, Qt.AlignmentFlag.AlignVCenter)

    @property
    def text(self) -> str:
        """Return cause and next step."""
        return f"{self._title.text()} {self._hint.text()}".strip()

    def show_failure(self, message: Message) -> None:
        """Show why this answer is not complete."""
        failed = message.status == "failed"
        title, hint = failure_words(message.status, message.error)
        set_role(self, "failure", "error" if failed else "warning")
        self._title.setText(title)
        self._hint.setText(hint)
        self._hint.setVisible(bool(hint))
        self.retry_button.setText("Try again" if failed else "Write it again")
        icon, token = ("error", "danger") if failed else ("warning", "warning")
        color = self._theme.hex(token)
        self._mark.setPixmap(pixmap(icon, color, 20, self.devicePixelRatioF()))
        self.setAccessibleName(self.text)


def failure_words(status: str, error: ErrorInfo | None) -> tuple[str, str]:
    """Return cause and next step of an answer that failed or broke off."""
    if error is not None:
        hint = error.hint or NEXT_STEP.get(error.code, "")
        if status == "interrupted":
            hint = f"What came is kept. {hint}".strip()
        return error.message, hint
    if status == "interrupted":
        return "The answer broke off before it was complete.", "What came is kept. Write it again?"
    return "No answer came.", "Try again."
