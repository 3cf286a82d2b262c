"""The line below a message: what can be done with it, its versions, and its figures."""

from __future__ import annotations

from PySide6.QtCore import QSize, Signal
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QWidget

from freehold.ui.costs.amounts import answer_cost, level_text
from freehold.ui.icons import set_icon
from freehold.ui.theme import Theme
from freehold.ui.widgets.buttons import icon_button
from freehold.ui.widgets.labels import ElidedLabel, text_label
from freehold.units import format_rate
from freehold.wire import Message, ReplyStats

STOPS = {
    "stop": "",
    "length": "stopped at the token limit",
    "max_tokens": "stopped at the token limit",
    "context": "stopped: the context is full",
    "stopped": "stopped by you",
    "cancelled": "stopped by you",
    "tool_calls": "called a tool",
}


def stats_text(stats: ReplyStats | None, status: str) -> str:
    """Return the figures below an answer, all measured by the engine."""
    parts: list[str] = []
    if stats is not None:
        if stats.decode_tokens_per_s:
            parts.append(format_rate(stats.decode_tokens_per_s))
        if stats.completion_tokens:
            unit = "token" if stats.completion_tokens == 1 else "tokens"
            parts.append(f"{stats.completion_tokens:,} {unit}")
        if stats.first_token_s:
            parts.append(f"first after {_seconds(stats.first_token_s)}")
        if stats.cached_tokens:
            parts.append(f"{stats.cached_tokens:,} of {stats.prompt_tokens:,} prompt tokens cached")
        if stats.energy_joules is not None:
            parts.append(answer_cost(stats))
    reason = stats.finish_reason if stats is not None else ""
    if status == "stopped":
        reason = "stopped"
    ending = STOPS.get(reason, "" if status in ("failed", "interrupted") else reason)
    if ending:
        parts.append(ending)
    return "  ·  ".join(parts)


def stats_explained(stats: ReplyStats | None) -> str:
    """Return all figures of an answer in full, for its tool tip."""
    if stats is None:
        return ""
    lines = [
        "Measured by the engine",
        f"Prompt: {stats.prompt_tokens:,} tokens, {stats.cached_tokens:,} of them cached",
        f"Answer: {stats.completion_tokens:,} tokens",
        f"Reading: {format_rate(stats.prefill_tokens_per_s)}",
        f"Writing: {format_rate(stats.decode_tokens_per_s)}",
        f"Time to first token: {_seconds(stats.first_token_s)}",
        f"Whole answer: {_seconds(stats.duration_s)}",
    ]
    if stats.energy_joules is not None:
        lines.append(f"Energy above idle: {answer_cost(stats)}, {level_text(stats.energy_level)}")
    if stats.finish_reason:
        lines.append(f"Ended by: {stats.finish_reason}")
    return "\n".join(lines)


def _seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


class Footer(QWidget):
    """Actions at the left, figures at the right.

    Signals: copy_asked, raw_asked, regenerate_asked, edit_asked; version_asked(message id).
    """

    copy_asked = Signal()
    raw_asked = Signal()
    regenerate_asked = Signal()
    edit_asked = Signal()
    version_asked = Signal(str)

    def __init__(self, theme: Theme, role: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._versions: tuple[str, ...] = ()
        self._at = 0
        self.copy_button = icon_button(theme, "copy", "Copy message", self._on_copied, parent=self)
        buttons = [self.copy_button]
        buttons.append(icon_button(theme, "file", "Select text…", self.raw_asked.emit, parent=self))
        self.regenerate_button = self.edit_button = None
        if role == "assistant":
            self.regenerate_button = icon_button(
                theme, "refresh", "Write another answer", self.regenerate_asked.emit, parent=self
            )
            buttons.append(self.regenerate_button)
        else:
            self.edit_button = icon_button(
                theme, "edit", "Edit and send again", self.edit_asked.emit, parent=self
            )
            buttons.append(self.edit_button)
        self.previous_button = icon_button(
            theme, "chevron-left", "Previous version", lambda: self._go(-1), parent=self
        )
        self.next_button = icon_button(
            theme, "chevron-right", "Next version", lambda: self._go(1), parent=self
        )
        self._version = text_label("", "small", parent=self)
        self.stats = ElidedLabel("", "small", parent=self)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        for button in buttons:
            button.setIconSize(QSize(16, 16))
            row.addWidget(button)
        for button in (self.previous_button, self.next_button):
            button.setIconSize(QSize(16, 16))
        row.addWidget(self.previous_button)
        row.addWidget(self._version)
        row.addWidget(self.next_button)
        row.addSpacing(10)
        row.addWidget(self.stats, 1)
        self.stats.setVisible(role == "assistant")
        if role == "user":
            self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.show_versions((), "")

    @property
    def version_text(self) -> str:
        """Return which version is shown, "2/3", or nothing when there is one."""
        return self._version.text() if not self._version.isHidden() else ""

    def show_stats(self, message: Message) -> None:
        """Show the figures of an answer."""
        self.stats.setText(stats_text(message.stats, message.status))
        self.setToolTip(stats_explained(message.stats))  # the label's own tip is what it elides

    def show_versions(self, versions: tuple[str, ...], shown: str) -> None:
        """Show arrows when a message has more than one version."""
        self._versions = versions
        many = len(versions) > 1 and shown in versions
        self._at = versions.index(shown) if many else 0
        self._version.setText(f"{self._at + 1}/{len(versions)}")
        for part in (self.previous_button, self._version, self.next_button):
            part.setVisible(many)
        self.previous_button.setEnabled(self._at > 0)
        self.next_button.setEnabled(self._at + 1 < len(versions))

    def lock(self, locked: bool) -> None:
        """Allow nothing that changes the chat while an answer is written."""
        for button in (self.regenerate_button, self.edit_button):
            if button is not None:
                button.setEnabled(not locked)

    def leaveEvent(self, event: object) -> None:
        set_icon(self.copy_button, self._theme, "copy")
        self.copy_button.setIconSize(QSize(16, 16))
        self.copy_button.setToolTip("Copy message")

    def _on_copied(self) -> None:
        self.copy_asked.emit()
        set_icon(self.copy_button, self._theme, "check", "success")
        self.copy_button.setIconSize(QSize(16, 16))
        self.copy_button.setToolTip("Copied")

    def _go(self, step: int) -> None:
        at = self._at + step
        if 0 <= at < len(self._versions):
            self.version_asked.emit(self._versions[at])
