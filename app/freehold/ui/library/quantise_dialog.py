"""Make a model smaller: which mix, what the experts get, and what comes of it before it begins."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from freehold.errors import AppError
from freehold.ui.library.inspect.pieces import piece_words
from freehold.ui.state.session import Session
from freehold.ui.tasks import spawn
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.buttons import push_button
from freehold.ui.widgets.labels import prose, text_label
from freehold.ui.widgets.switch import Switch
from freehold.units import format_bytes
from freehold.wire import ModelEntry
from freehold.wire_files import Making, QuantisePlan, QuantiseRequest

PAUSE_MS: Final = 350
MIXES: Final = (
    ("Q8_0", "Q8_0  ·  about 8.5 bits, as good as the original"),
    ("Q6_K", "Q6_K  ·  about 6.6 bits"),
    ("Q5_K_M", "Q5_K_M  ·  about 5.7 bits"),
    ("Q4_K_M", "Q4_K_M  ·  about 4.9 bits, the usual choice"),
    ("IQ4_XS", "IQ4_XS  ·  about 4.3 bits"),
    ("Q4_0", "Q4_0  ·  about 4.6 bits, quick on processors"),
    ("Q3_K_M", "Q3_K_M  ·  about 3.9 bits"),
    ("IQ3_XXS", "IQ3_XXS  ·  about 3.1 bits"),
    ("Q2_K", "Q2_K  ·  about 3.0 bits"),
    ("IQ2_XXS", "IQ2_XXS  ·  about 2.1 bits, needs an importance matrix"),
    ("MXFP4_MOE", "MXFP4_MOE  ·  4.25 bits for experts"),
    ("F16", "F16  ·  16 bits"),
)
TYPES: Final = (
    "Q8_0", "Q6_K", "Q5_K", "Q4_K", "Q4_0", "IQ4_XS", "MXFP4", "Q3_K", "IQ3_XXS", "Q2_K", "IQ2_XXS",
)  # fmt: skip
TEXT: Final = (
    "llama.cpp writes the weights again with fewer bits, in a process of its own. The model you"
    " have stays as it is; the new one appears in the list once it is whole."
)


class QuantiseDialog(QDialog):
    """Shows the plan of what is chosen; `job` is what was begun."""

    def __init__(
        self, theme: Theme, session: Session, entry: ModelEntry, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._session, self._entry = session, entry
        self.job: Making | None = None
        self._task: asyncio.Task[None] | None = None
        self.setWindowTitle("Quantise")
        self.setAccessibleName(f"Quantise {entry.name}")
        self.setModal(True)
        self.setMinimumWidth(600)
        self.mix = _combo("Mix", [(text, value) for value, text in MIXES])
        self.mix.setCurrentIndex(self.mix.findData("Q4_K_M"))
        as_mixed = [("As the mix has them", ""), *((kind, kind) for kind in TYPES)]
        self.experts = _combo("Experts", as_mixed)
        self.attention = _combo("Attention", as_mixed)
        self.matrix = QLineEdit()
        self.matrix.setPlaceholderText("None")
        self.matrix.setAccessibleName("Importance matrix")
        self.matrix_button = push_button(theme, "Choose…", self._choose_matrix)
        self.name = QLineEdit()
        self.name.setAccessibleName("Name of the result")
        self.again = Switch(theme, "Quantise it all the same")
        self.again_row = QWidget()
        self.again_row.hide()
        self.plan = text_label("Working it out…", "strong", wrap=True)
        self.details = text_label("", "small", wrap=True)
        self.problem = text_label("", "danger", wrap=True)
        self.problem.hide()
        cancel = push_button(theme, "Cancel", self.reject)
        self.begin = push_button(theme, "Quantise", self._begin, kind="primary")
        self.begin.setEnabled(False)
        self._lay_out(cancel)
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(PAUSE_MS)
        self._pause.timeout.connect(self.work_out)
        for combo in (self.mix, self.experts, self.attention):
            combo.activated.connect(self._ask)
        for field in (self.matrix, self.name):
            field.textEdited.connect(self._ask)
        self.again.toggled.connect(self._ask)
        self.work_out()

    @property
    def request(self) -> QuantiseRequest:
        """Return what is chosen."""
        return QuantiseRequest(
            ref=self._entry.ref,
            mix=self.mix.currentData(),
            experts=self.experts.currentData() if self._entry.experts else "",
            attention=self.attention.currentData(),
            matrix=self.matrix.text().strip(),
            again=self.again.isChecked(),
            name=self.name.text().strip(),
        )

    def work_out(self) -> None:
        """Ask the server what would come of it; a newer question replaces the one under way."""
        self._pause.stop()
        self._cancel_question()
        self._task = spawn(self, self._work_out(self.request), failed=self._show_problem)

    # --- inside --------------------------------------------------------------------------

    def _ask(self) -> None:
        self.begin.setEnabled(False)
        self.plan.setText("Working it out…")
        self.problem.hide()
        self._pause.start()

    def _cancel_question(self) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()

    async def _work_out(self, request: QuantiseRequest) -> None:
        self._show_plan(await self._session.client.files.plan_quantise(request))

    def _show_plan(self, plan: QuantisePlan) -> None:
        smaller = 1 - plan.bytes / max(1, plan.source_bytes)
        change = f"{smaller:.0%} smaller" if smaller >= 0 else f"{-smaller:.0%} larger"
        self.plan.setText(
            f"{format_bytes(plan.source_bytes)} become {format_bytes(plan.bytes)}: {change},"
            f" {plan.bits_per_weight:.2f} bits per weight"
        )
        types = sorted(plan.bytes_by_type.items(), key=lambda item: -item[1])
        shown = ", ".join(f"{kind} {format_bytes(size)}" for kind, size in types[:6])
        files = f" In {plan.files} files, as the model is." if plan.files > 1 else ""
        self.details.setText(
            f"Calculated by llama.cpp itself: {shown}. {piece_words(plan.bytes_by_piece)}."
            f" {format_bytes(plan.free_bytes)} are free.{files}"
        )
        self.name.setPlaceholderText(plan.name)
        self.problem.setText(plan.problem)
        self.problem.setVisible(bool(plan.problem))
        self.begin.setEnabled(not plan.problem)

    def _show_problem(self, error: AppError) -> None:
        self.plan.setText("This cannot be made.")
        self.details.setText("")
        self.problem.setText(prose(error.sentence))
        self.problem.show()
        self.begin.setEnabled(False)
        if error.detail.get("types"):
            self.again_row.show()

    def _begin(self) -> None:
        self.begin.setEnabled(False)
        self._cancel_question()
        spawn(self, self._send(self.request), failed=self._show_problem)

    async def _send(self, request: QuantiseRequest) -> None:
        self.job = await self._session.client.files.quantise(request)
        self.accept()

    def _choose_matrix(self) -> None:
        dialog = QFileDialog(self, "Choose an importance matrix")
        dialog.setNameFilters(["Importance matrices (*.gguf *.dat *.imatrix)", "All files (*)"])
        dialog.fileSelected.connect(self.take_matrix)
        dialog.open()

    def take_matrix(self, path: str) -> None:
        """Use an importance matrix."""
        self.matrix.setText(path)
        self._ask()

    def _lay_out(self, cancel: QWidget) -> None:
        form = QFormLayout()
        form.setSpacing(SIZES["space"])
        form.addRow("Mix", self.mix)
        if self._entry.experts:
            form.addRow("Experts", self.experts)
        form.addRow("Attention", self.attention)
        matrix = QHBoxLayout()
        matrix.addWidget(self.matrix, 1)
        matrix.addWidget(self.matrix_button)
        self.matrix_button.setVisible(self._session.is_local)
        form.addRow("Importance matrix", matrix)
        form.addRow("Name", self.name)
        buttons = QHBoxLayout()
        buttons.setSpacing(SIZES["space"])
        buttons.addStretch(1)
        buttons.addWidget(cancel)
        buttons.addWidget(self.begin)
        column = QVBoxLayout(self)
        space = SIZES["space-3"]
        column.setContentsMargins(space, space, space, space)
        column.setSpacing(SIZES["space-2"])
        column.addWidget(text_label(f"Quantise {self._entry.name}", "section", wrap=True))
        column.addWidget(text_label(TEXT, "muted", wrap=True))
        column.addLayout(form)
        column.addWidget(self.plan)
        column.addWidget(self.details)
        column.addWidget(self.problem)
        again = QHBoxLayout(self.again_row)
        again.setContentsMargins(0, 0, 0, 0)
        again.addWidget(self.again)
        again.addWidget(text_label("Quantise it all the same", "muted"), 1)
        column.addWidget(self.again_row)
        column.addLayout(buttons)


def _combo(name: str, choices: Sequence[tuple[str, str]]) -> QComboBox:
    combo = QComboBox()
    combo.setAccessibleName(name)
    for text, value in choices:
        combo.addItem(text, value)
    return combo
