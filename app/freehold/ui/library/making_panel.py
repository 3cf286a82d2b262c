"""What is being made on this machine, below the Models page: progress, time left, cancel."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from freehold.ui.library.words import joined
from freehold.ui.state.making import MakingState
from freehold.ui.tasks import spawn
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.buttons import icon_button
from freehold.ui.widgets.labels import ElidedLabel, prose, set_role, text_label
from freehold.units import format_bytes, format_duration
from freehold.wire_files import Making

STATES: Final = {
    "done": ("Ready", "chip-accent"),
    "failed": ("Failed", "chip-danger"),
    "cancelled": ("Cancelled", "chip"),
}
MOST_ROWS: Final = 3


class MakingRow(QWidget):
    """One job."""

    def __init__(self, theme: Theme, state: MakingState, job: Making) -> None:
        super().__init__()
        self._job = job
        self.name = ElidedLabel("", "strong")
        self.chip = text_label("", "chip")
        self.words = ElidedLabel("", "small")
        self.problem = text_label("", "danger", wrap=True)
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.cancel = icon_button(
            theme, "close", "Cancel", lambda: spawn(self, state.cancel(self._job.id))
        )
        head = QHBoxLayout()
        head.setSpacing(SIZES["space"])
        for widget in (self.name, self.chip):
            head.addWidget(widget)
        head.addStretch(1)
        words = QVBoxLayout()
        words.setSpacing(SIZES["space-half"])
        words.addLayout(head)
        words.addWidget(self.words)
        row = QHBoxLayout()
        row.addLayout(words, 1)
        row.addWidget(self.cancel, 0, Qt.AlignmentFlag.AlignVCenter)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, SIZES["space-half"], 0, SIZES["space-half"])
        column.addLayout(row)
        column.addWidget(self.bar)
        column.addWidget(self.problem)
        self.show_job(job)

    def show_job(self, job: Making) -> None:
        """Show the job as it is now."""
        self._job = job
        running = job.state == "running"
        verb = "Quantising" if job.kind == "quantise" else "Converting"
        text, role = STATES.get(job.state, (verb, "chip-accent"))
        self.name.setText(job.name)
        self.chip.setText(text)
        set_role(self.chip, "role", role)
        self.words.setText(making_words(job))
        self.bar.setVisible(running)
        self.bar.setValue(round(1000 * job.done_bytes / max(1, job.total_bytes)))
        self.problem.setVisible(job.error is not None)
        if job.error is not None:
            self.problem.setText(prose(f"{job.error.message} {job.error.hint}".strip()))
        action = "Cancel" if running else "Take off the list:"
        self.cancel.setToolTip("Cancel" if running else "Take it off this list")
        self.cancel.setAccessibleName(f"{action} {job.name}")
        self.bar.setAccessibleName(f"{verb} {job.name}")
        self.setAccessibleName(f"{job.name}: {text}, {self.words.text()}")


class MakingPanel(QFrame):
    """Hidden while there is nothing to show."""

    def __init__(self, state: MakingState, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state, self._theme = state, theme
        self._rows: dict[str, MakingRow] = {}
        self.setObjectName("downloadsPanel")
        self.setAccessibleName("Models being made")
        middle = QWidget()
        middle.setMaximumWidth(SIZES["page-width"])
        self._column = QVBoxLayout(middle)
        self._column.setContentsMargins(0, 0, 0, 0)
        outer = QHBoxLayout(self)
        outer.setContentsMargins(SIZES["space-4"], SIZES["space"], SIZES["space-4"], SIZES["space"])
        outer.addStretch(1)
        outer.addWidget(middle, 100)
        outer.addStretch(1)
        state.changed.connect(self._show)
        self._show()

    def row(self, identifier: str) -> MakingRow:
        """Return the row of a job."""
        return self._rows[identifier]

    def _show(self) -> None:
        jobs = self._state.jobs[:MOST_ROWS]
        for identifier in self._rows.keys() - {job.id for job in jobs}:
            row = self._rows.pop(identifier)
            row.hide()
            row.deleteLater()
        for place, job in enumerate(jobs):
            if job.id in self._rows:
                self._rows[job.id].show_job(job)
            else:
                self._rows[job.id] = MakingRow(self._theme, self._state, job)
                self._column.insertWidget(place, self._rows[job.id])
        self.setVisible(bool(jobs))


def making_words(job: Making) -> str:
    """Return how far a job is."""
    if job.state == "done":
        return f"{format_bytes(job.total_bytes)}, in your library as {job.ref}"
    if job.state != "running":
        return f"From {job.source}"
    left = f"about {format_duration(job.eta_s)} left" if job.eta_s is not None else ""
    return joined(
        f"{format_bytes(job.done_bytes)} of {format_bytes(job.total_bytes)}", left, job.step
    )
