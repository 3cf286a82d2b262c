"""The load dialog: how a model is to be loaded, with the picture of what that takes."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from freehold.ui.machine.plan_choices import PlanChoices
from freehold.ui.machine.plan_picture import PlanPicture
from freehold.ui.state.machine import MachineView, PlanView, SetupView
from freehold.ui.state.models import ModelRow
from freehold.ui.state.session import Session
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.buttons import push_button
from freehold.ui.widgets.cards import rule
from freehold.ui.widgets.labels import text_label
from freehold.wire import LoadRequest

WIDTH, HEIGHT = 760, 640
LOAD_WORDS = {"disk": "Load from the disk", "no": "Load all the same"}


class LoadDialog(QDialog):
    """Asks `load(ref, request)` when the person says so."""

    def __init__(
        self,
        session: Session,
        row: ModelRow,
        theme: Theme,
        load: Callable[[str, LoadRequest], object],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._row, self._load = row, load
        self._is_recalled = False
        self.setWindowTitle(f"Load {row.entry.name}")
        self.setAccessibleName(self.windowTitle())
        self.setModal(True)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, True)
        self.resize(WIDTH, HEIGHT)
        self.machine = MachineView(session, self)
        self.plan = PlanView(session, self)
        self.setup = SetupView(session, row.ref, self)
        self.choices = PlanChoices(theme)
        self.choices.offer_contexts(row.entry)
        self.picture = PlanPicture(self.plan, theme)
        self.cancel = push_button(theme, "Cancel", self.reject, kind="quiet")
        self.accept_button = push_button(theme, "Load", self._accept, kind="primary")
        self._lay_out()
        self.choices.changed.connect(self._ask)
        self.machine.changed.connect(self._show_machine)
        self.machine.failed.connect(session.show_error)
        self.plan.changed.connect(self._show_button)
        self.setup.changed.connect(self._show_machine)
        self.finished.connect(lambda _result: self.machine.watch(False))
        self._show_button()
        self.setup.read()
        self.machine.refresh()

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        space = SIZES["space-3"]
        column.setContentsMargins(space, space, space, space)
        column.setSpacing(SIZES["space-2"])
        column.addWidget(text_label(self.windowTitle(), "section", wrap=True))
        inside = QWidget()
        words = QVBoxLayout(inside)
        words.setContentsMargins(0, 0, SIZES["space"], 0)
        words.setSpacing(SIZES["space-2"])
        words.addWidget(self.choices)
        words.addWidget(rule())
        words.addWidget(self.picture)
        words.addStretch(1)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(inside)
        column.addWidget(area, 1)
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(self.cancel)
        buttons.addWidget(self.accept_button)
        column.addLayout(buttons)

    def _show_machine(self) -> None:
        if self.machine.state is None or self.setup.setup is None:
            return
        self.choices.offer_gpus(self.machine.state.inventory)
        if not self._is_recalled:
            self._is_recalled = True
            self.choices.show_options(self.setup.setup.options)
        self._ask()

    def _ask(self) -> None:
        if self._is_recalled:
            self.plan.ask(self.choices.request(self._row.ref))

    def _show_button(self) -> None:
        plan = self.plan.plan
        verdict = plan.verdict if plan is not None else ""
        self.accept_button.setText(LOAD_WORDS.get(verdict, "Load"))
        self.accept_button.setEnabled(plan is not None and not self.plan.is_waiting)

    def _accept(self) -> None:
        plan = self.plan.plan
        if plan is None:
            return
        request = self.choices.load_request(
            force=plan.verdict == "no", from_disk=plan.verdict == "disk"
        )
        self._load(self._row.ref, request)
        self.accept()
