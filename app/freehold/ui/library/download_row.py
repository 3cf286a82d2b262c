"""One download of the panel: what it is, how far it is, and what can be done with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from freehold.ui.library.words import download_words
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.buttons import icon_button, push_button
from freehold.ui.widgets.labels import ElidedLabel, set_role, text_label
from freehold.wire import Download

STATES: Final = {
    "queued": ("In the queue", "chip"),
    "running": ("Downloading", "chip-accent"),
    "verifying": ("Checking", "chip-accent"),
    "paused": ("Paused", "chip-warning"),
    "failed": ("Stopped", "chip-danger"),
    "done": ("Ready", "chip-accent"),
}


@dataclass(frozen=True, slots=True)
class DownloadActions:
    """What a row asks for, each with the download."""

    pause: Callable[[Download], object]
    resume: Callable[[Download], object]
    first: Callable[[Download], object]
    cancel: Callable[[Download], object]
    load: Callable[[Download], object]
    chat: Callable[[Download], object]
    open_link: Callable[[str], object]
    give_token: Callable[[Download], object]


class DownloadRow(QWidget):
    """Shows a `Download`; `show_download` brings the next one."""

    def __init__(
        self,
        theme: Theme,
        download: Download,
        actions: DownloadActions,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._download = download
        self._actions = actions
        self.name = ElidedLabel("", "strong")
        self.state = text_label("", "chip")
        self.words = ElidedLabel("", "small")
        self.note = text_label("", "warning", wrap=True)
        self.problem = text_label("", "danger", wrap=True)
        self.next_step = text_label("", "muted", wrap=True)
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)

        def act(action: Callable[[Download], object]) -> Callable[[], object]:
            return lambda: action(self._download)

        self.pause = push_button(theme, "Pause", act(actions.pause))
        self.resume = push_button(theme, "Resume", act(actions.resume))
        self.load = push_button(theme, "Load", act(actions.load))
        self.chat = push_button(theme, "Chat", act(actions.chat), kind="primary")
        self.token = push_button(theme, "Give a token…", act(actions.give_token))
        self.link = push_button(theme, "Open its page", self._open_link)
        self.first = icon_button(theme, "chevron-up", "Download this one first", act(actions.first))
        self.cancel = icon_button(theme, "close", "Cancel", act(actions.cancel))
        self._lay_out()
        self.show_download(download, may_move=False)

    @property
    def download(self) -> Download:
        """Return what is shown."""
        return self._download

    def show_download(self, download: Download, *, may_move: bool) -> None:
        """Show the download as it is now; may_move: another one runs before it."""
        self._download = download
        state, error = download.state, download.error
        self.name.setText(f"{download.repository.partition('/')[2]}  {download.variant}")
        self.name.setToolTip(download.repository)
        text, role = STATES[state]
        self.state.setText(text)
        set_role(self.state, "role", role)
        self.words.setText(download_words(download))
        self.note.setText(download.note)
        self.note.setVisible(bool(download.note) and state == "running")
        self.problem.setVisible(error is not None)
        self.next_step.setVisible(error is not None and bool(error.hint))
        if error is not None:
            self.problem.setText(error.message)
            self.next_step.setText(error.hint)
        share = download.verified_bytes if state == "verifying" else download.done_bytes
        self.bar.setValue(round(1000 * share / max(1, download.total_bytes)))
        self.bar.setVisible(state not in ("done",))
        self.pause.setVisible(state in ("queued", "running", "verifying"))
        self.resume.setVisible(state in ("paused", "failed"))
        self.resume.setText("Try again" if state == "failed" else "Resume")
        self.load.setVisible(state == "done")
        self.chat.setVisible(state == "done")
        self.first.setVisible(may_move and state == "queued")
        reason = str(error.detail.get("reason", "")) if error is not None else ""
        self.token.setVisible(reason in ("no_token", "denied"))
        self.link.setVisible(bool(self._link()))
        self.cancel.setToolTip("Take it off this list" if state == "done" else "Cancel…")
        name = f"{download.repository} {download.variant}"
        self.setAccessibleName(f"{name}: {text}, {self.words.text()}")
        self.bar.setAccessibleName(f"Download of {name}")
        for button, verb in (
            (self.pause, "Pause"),
            (self.resume, self.resume.text()),
            (self.load, "Load"),
            (self.chat, "Chat with"),
            (self.cancel, "Take off the list" if state == "done" else "Cancel"),
        ):
            button.setAccessibleName(f"{verb} {name}")

    def _link(self) -> str:
        error = self._download.error
        link = error.detail.get("link", "") if error is not None else ""
        return str(link) if str(link).startswith("https://") else ""

    def _open_link(self) -> None:
        self._actions.open_link(self._link())

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.setSpacing(SIZES["space"])
        head.addWidget(self.name)
        head.addWidget(self.state)
        head.addStretch(1)
        words = QVBoxLayout()
        words.setSpacing(SIZES["space-half"])
        words.addLayout(head)
        words.addWidget(self.words)
        row = QHBoxLayout()
        row.setSpacing(SIZES["space"])
        row.addLayout(words, 1)
        for button in (
            self.token, self.link, self.pause, self.resume, self.load, self.chat, self.first,
            self.cancel,
        ):  # fmt: skip
            row.addWidget(button, 0, Qt.AlignmentFlag.AlignVCenter)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, SIZES["space-half"], 0, SIZES["space-half"])
        column.setSpacing(SIZES["space"])
        column.addLayout(row)
        column.addWidget(self.bar)
        for label in (self.note, self.problem, self.next_step):
            column.addWidget(label)
