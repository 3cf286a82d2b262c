"""The Machine page: what it is made of, and what fits it or a machine one may buy."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import Qt
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from freehold.ui.machine.inventory_cards import InventoryCards
from freehold.ui.machine.plan_choices import PlanChoices
from freehold.ui.machine.plan_picture import PlanPicture
from freehold.ui.machine.speed_card import SpeedCard
from freehold.ui.machine.tune_dialog import TuneDialog
from freehold.ui.settings.fields import ChoiceBox
from freehold.ui.state.machine import MachineView, PlanView
from freehold.ui.state.models import ModelsState
from freehold.ui.state.session import Session
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.buttons import push_button
from freehold.ui.widgets.cards import Card, rule, section_title
from freehold.ui.widgets.labels import text_label
from freehold.ui.widgets.scroll_page import ScrollPage
from freehold.wire_machine import Inventory

WIDE_FIELD: Final = 380
# Plans cost the server half a second: only a change that could matter is worth one.
NOTABLE_SHARE: Final = 0.05
THIS_MACHINE: Final = "This machine"


class MachinePage(ScrollPage):
    """Looks at the machine while it is shown, and plans what is chosen."""

    def __init__(
        self, session: Session, models: ModelsState, theme: Theme, parent: QWidget | None = None
    ) -> None:
        super().__init__(
            "Machine",
            "What your models run on, and what fits before you load or download it.",
            parent,
        )
        self._session, self._models, self._theme = session, models, theme
        self._planned_for: Inventory | None = None
        self.machine = MachineView(session, self)
        self.plan = PlanView(session, self)
        self.model = ChoiceBox(theme, "Model", self._chosen)
        self.model.setFixedWidth(WIDE_FIELD)
        self.where = ChoiceBox(theme, "Machine", self._chosen)
        self.choices = PlanChoices(theme)
        self.picture = PlanPicture(self.plan, theme)
        self.nothing = text_label("Add a model on the Models page to plan it here.", "muted")
        self.inventory = InventoryCards(theme)
        self.speed = SpeedCard(self.machine, theme)
        self.tune = push_button(theme, "Tune…", self._tune, icon="settings")
        self.tune.setToolTip("Try settings for about three minutes and keep the fastest")
        self._lay_out()
        self.where.offer([("", THIS_MACHINE)])
        self.machine.changed.connect(self._show_machine)
        self.machine.failed.connect(session.show_error)
        self.choices.changed.connect(self._ask)
        models.rows_changed.connect(self._show_models)
        models.row_changed.connect(lambda _ref: self.plan.ask_again())
        session.connected.connect(self._wake)
        self._show_models()

    def _lay_out(self) -> None:
        self.column.addWidget(section_title("What fits"))
        card = Card()
        row = QHBoxLayout()
        row.setSpacing(SIZES["space-2"])
        for name, field in (("Model", self.model), ("On", self.where)):
            column = QVBoxLayout()
            column.setSpacing(SIZES["space-half"])
            label = text_label(name, "small")
            label.setBuddy(field)
            column.addWidget(label)
            column.addWidget(field)
            row.addLayout(column)
        row.addStretch(1)
        row.addWidget(self.tune, 0, Qt.AlignmentFlag.AlignBottom)
        self._planner = QWidget()
        inside = QVBoxLayout(self._planner)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(SIZES["space-2"])
        inside.addLayout(row)
        inside.addWidget(self.choices)
        inside.addWidget(rule())
        inside.addWidget(self.picture)
        card.body.addWidget(self.nothing)
        card.body.addWidget(self._planner)
        self.column.addWidget(card)
        self.column.addWidget(section_title("This machine"))
        self.column.addWidget(self.inventory)
        self.column.addWidget(section_title("How fast it is"))
        self.column.addWidget(self.speed)
        self.column.addStretch(1)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._wake()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self.machine.watch(False)

    def choose(self, ref: str) -> None:
        """Plan a model."""
        self.model.show_value(ref)
        self._chosen(ref)

    def _tune(self) -> None:
        row = self._models.row(str(self.model.currentData() or ""))
        if row is not None:
            TuneDialog(self._session, row, self.machine, self._theme, self).show()

    def _wake(self) -> None:
        if self.isVisible():
            self.machine.watch(True)
            self._ask()

    def _show_models(self) -> None:
        rows = [row for row in self._models.rows if row.entry.ready]
        self.model.offer([(row.ref, row.entry.name) for row in rows])
        self.nothing.setVisible(not rows)
        self._planner.setVisible(bool(rows))
        self._chosen()

    def _show_machine(self) -> None:
        state = self.machine.state
        if state is None:
            return
        self.inventory.show_inventory(state.inventory)
        self.where.offer([("", THIS_MACHINE), *((name, name) for name in state.profiles)])
        self.choices.offer_gpus(state.inventory)
        if self._planned_for is None or is_another(self._planned_for, state.inventory):
            self._planned_for = state.inventory
            self.plan.ask_again()
        self.tune.setEnabled(state.job is None or state.job.is_over)
        self._ask()

    def _chosen(self, _value: object = None) -> None:
        row = self._models.row(str(self.model.currentData() or ""))
        self.choices.offer_contexts(row.entry if row else None)
        self._ask()

    def _ask(self) -> None:
        ref = str(self.model.currentData() or "")
        if ref and self.isVisible() and self.machine.state is not None:
            self.plan.ask(self.choices.request(ref, str(self.where.currentData() or "")))


def is_another(before: Inventory, now: Inventory) -> bool:
    """Return whether a plan may be another: GPUs came or went, or much memory did."""
    if [(gpu.uuid, gpu.lost) for gpu in before.gpus] != [(gpu.uuid, gpu.lost) for gpu in now.gpus]:
        return True
    pairs = [(before.memory.usable_bytes, now.memory.usable_bytes, now.memory.total_bytes)]
    pairs += [
        (old.free_bytes or 0, new.free_bytes or 0, new.total_bytes or 1)
        for old, new in zip(before.gpus, now.gpus, strict=True)
    ]
    return any(abs(new - old) > NOTABLE_SHARE * total for old, new, total in pairs)
