"""Tuning a model: the settings that were tried, which is kept, and the way back."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QDialog,
    QGridLayout,
    QHBoxLayout,
    QProgressBar,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from freehold.ui.machine.speed_card import job_words
from freehold.ui.state.machine import MachineView, SetupView
from freehold.ui.state.models import ModelRow
from freehold.ui.state.session import Session
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.buttons import push_button
from freehold.ui.widgets.labels import prose, text_label
from freehold.units import format_rate
from freehold.wire_machine import MachineJob, TuneRow

WIDTH, HEIGHT = 680, 520
WHAT: Final = (
    "Loads the model again and again for about three minutes, each time with another setting, and "
    "keeps the fastest for this machine. The model is unloaded meanwhile; the machine should be "
    "quiet."
)


class TuneDialog(QDialog):
    """Follows a `MachineView`; tuning goes on when it is closed."""

    def __init__(
        self,
        session: Session,
        row: ModelRow,
        machine: MachineView,
        theme: Theme,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._ref, self._machine = row.ref, machine
        self.setWindowTitle(f"Tune {row.entry.name}")
        self.setAccessibleName(self.windowTitle())
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, True)
        self.resize(WIDTH, HEIGHT)
        self.setup = SetupView(session, row.ref, self)
        self.what = text_label(WHAT, "muted", wrap=True)
        self.words = text_label("", "small", wrap=True)
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.problem = text_label("", "danger", wrap=True)
        self.outcome = text_label("", "body", wrap=True)
        self.table = TuneTable()
        self.start = push_button(theme, "Start", self._start, kind="primary")
        self.cancel = push_button(theme, "Cancel", machine.cancel)
        self.revert = push_button(theme, "Back to before", lambda: self.setup.use_tuned(False))
        self.again = push_button(theme, "Use the fastest", lambda: self.setup.use_tuned(True))
        self.close_button = push_button(theme, "Close", self.close, kind="quiet")
        self._was_running = False
        self._lay_out()
        machine.changed.connect(self._follow)
        self.setup.changed.connect(self._refresh)
        self.setup.read()
        self._refresh()

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        space = SIZES["space-3"]
        column.setContentsMargins(space, space, space, space)
        column.setSpacing(SIZES["space-2"])
        column.addWidget(text_label(self.windowTitle(), "section", wrap=True))
        for widget in (self.what, self.words, self.bar, self.problem, self.outcome):
            column.addWidget(widget)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        area.setWidget(self.table)
        column.addWidget(area, 1)
        buttons = QHBoxLayout()
        buttons.addWidget(self.close_button)
        buttons.addStretch(1)
        for button in (self.revert, self.again, self.cancel, self.start):
            buttons.addWidget(button)
        column.addLayout(buttons)

    def _start(self) -> None:
        self._machine.tune(self._ref)

    def _job(self) -> MachineJob | None:
        """Return the job if it is about this model."""
        job = self._machine.job
        return job if job is not None and job.kind == "tune" and job.ref == self._ref else None

    def _follow(self) -> None:
        job = self._job()
        running = job is not None and not job.is_over
        if self._was_running and not running:
            self.setup.read()
        self._was_running = running
        self._refresh()

    def _refresh(self) -> None:
        job, other = self._job(), self._machine.job
        running = job is not None and not job.is_over
        found = self.setup.setup.tuned if self.setup.setup is not None else None
        self.bar.setVisible(running)
        self.words.setVisible(running)
        self.cancel.setVisible(running)
        self.start.setVisible(not running)
        self.start.setEnabled(other is None or other.is_over)
        self.start.setText("Start" if found is None else "Tune again")
        self.what.setVisible(not running)
        self.revert.setVisible(not running and found is not None and found.in_use)
        self.again.setVisible(not running and found is not None and not found.in_use)
        self.outcome.setVisible(not running and found is not None)
        error = job.error if job is not None else None
        self.problem.setVisible(error is not None and error.code != "cancelled")
        if error is not None:
            self.problem.setText(prose(f"{error.message} {error.hint}"))
        if running and job is not None:
            self.words.setText(job_words(job))
            self.bar.setValue(round(1000 * job.fraction))
            self.bar.setAccessibleName(self.words.text())
            self.table.show_rows(job.rows, None)
        elif found is not None:
            self.outcome.setText(result_words(found.rows, found.best, in_use=found.in_use))
            self.table.show_rows(found.rows, found.best)
        else:
            self.table.show_rows((), None)


def result_words(rows: tuple[TuneRow, ...], best: int, *, in_use: bool) -> str:
    """Return what tuning found, in a sentence."""
    tried = f"{len(rows)} settings were tried."
    if best == 0:
        return f"{tried} None was notably faster than what was set before."
    before, found = rows[0], rows[best]
    gain = f" {before.turn_s / found.turn_s:.1f} times as fast" if before.turn_s else " fastest"
    use = "It is used from the next load on." if in_use else "It is not in use."
    return f"{tried} “{found.words}” is{gain}. {use}"


class TuneTable(QWidget):
    """The rows in the order they were tried; numbers stand under each other."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(SIZES["space-3"])
        self._grid.setVerticalSpacing(SIZES["space"])
        self._grid.setColumnStretch(0, 1)
        column.addLayout(self._grid)
        column.addStretch(1)
        self._shown: tuple[tuple[TuneRow, ...], int | None] = ((), None)

    def texts(self) -> list[tuple[str, str, str]]:
        """Return what stands in the rows."""
        rows, best = self._shown
        return [_cells(row, number, best) for number, row in enumerate(rows)]

    def show_rows(self, rows: tuple[TuneRow, ...], best: int | None) -> None:
        """Show other rows; `best` is marked."""
        if (rows, best) == self._shown:
            return
        self._shown = (rows, best)
        while self._grid.count():
            item = self._grid.takeAt(0)
            widget = item.widget() if item is not None else None
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        if not rows:
            return
        for place, title in enumerate(("Settings", "Answers", "Prompts")):
            self._add(title, "small", 0, place)
        for number, row in enumerate(rows):
            role = "strong" if number == best else "body"
            for place, text in enumerate(_cells(row, number, best)):
                self._add(text, "muted" if row.problem else role, number + 1, place)

    def _add(self, text: str, role: str, row: int, place: int) -> None:
        label = text_label(text, role, wrap=place == 0)
        if place:
            label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignTop)
        self._grid.addWidget(label, row, place)


def _cells(row: TuneRow, number: int, best: int | None) -> tuple[str, str, str]:
    words = row.words[:1].upper() + row.words[1:]
    if number == 0:
        words += " (before)"
    if number == best:
        words += "  ·  kept"
    if row.problem:
        return f"{words}: {row.problem}", "—", "—"
    return words, format_rate(row.decode_tokens_per_s), format_rate(row.prefill_tokens_per_s)
