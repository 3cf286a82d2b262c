"""Which GPUs a model may use, in which order, how full, and how it is split over them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from PySide6.QtCore import QSignalBlocker, Signal
from PySide6.QtWidgets import QGridLayout, QLineEdit, QVBoxLayout, QWidget

from freehold.ui.machine.field_row import field_row
from freehold.ui.machine.tick_box import TickBox
from freehold.ui.settings.fields import ChoiceBox, NumberBox
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.buttons import icon_button
from freehold.ui.widgets.labels import text_label
from freehold.units import format_bytes
from freehold.wire import LoadRequest
from freehold.wire_machine import Gpu

SPLITS: Final = (
    ("layer", "By layers"),
    ("row", "By rows"),
    ("none", "Main GPU alone"),
)
MAX_KEPT_GB: Final = 500
DEFAULT_KEPT_GB: Final = 1
AUTO: Final = -1
MAX_LAYERS: Final = 1000
SHARES_WIDTH: Final = 150
GB: Final = 1_000_000_000


class GpuRow:
    """The controls of one GPU; they stand in a grid of `GpuChoice`."""

    def __init__(self, theme: Theme, gpu: Gpu, number: int, owner: GpuChoice) -> None:
        self.gpu, self.number = gpu, number
        total = f", {format_bytes(gpu.total_bytes)}" if gpu.total_bytes else ""
        name = gpu.name.removeprefix("NVIDIA ")
        self.box = TickBox(theme, f"GPU {number}: {name}{total}")
        self.box.setChecked(True)
        self.box.toggled.connect(owner.tell)
        self.kept = NumberBox(f"Gigabytes to keep free on GPU {number}", 0, MAX_KEPT_GB, owner.tell)
        self.kept.setPrefix("keep ")
        self.kept.setSuffix(" GB free")
        self.kept.setFixedWidth(SHARES_WIDTH)
        self.kept.show_value(DEFAULT_KEPT_GB)
        self.earlier = icon_button(
            theme, "chevron-up", f"Use GPU {number} earlier", lambda: owner.reorder(self, -1)
        )
        self.later = icon_button(
            theme, "chevron-down", f"Use GPU {number} later", lambda: owner.reorder(self, 1)
        )

    @property
    def device(self) -> str:
        """Return the name the planner knows it by."""
        return self.gpu.engine_device or str(self.number)

    def widgets(self) -> tuple[QWidget, ...]:
        return self.box, self.kept, self.earlier, self.later


class GpuChoice(QWidget):
    """Signals: changed: something else is chosen now."""

    changed = Signal()

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._gpus: tuple[Gpu, ...] = ()
        self.rows: list[GpuRow] = []
        self.cpu_only = TickBox(theme, "CPU only")
        self.cpu_only.toggled.connect(self.tell)
        self.split = ChoiceBox(theme, "Split over GPUs", self.tell)
        self.split.offer(SPLITS)
        self.main_gpu = ChoiceBox(theme, "Main GPU", self.tell)
        self.shares = QLineEdit()
        self.shares.setAccessibleName("Shares of the GPUs")
        self.shares.setPlaceholderText("by room, or 2 : 1")
        self.shares.setFixedWidth(SHARES_WIDTH)
        self.shares.editingFinished.connect(self.tell)
        self.gpu_layers = self._pin("Layers on GPUs", AUTO)
        self.expert_layers = self._pin("Layers whose experts stay in RAM", 0)
        self.problem = text_label("", "danger", wrap=True)
        self.problem.hide()
        self._lay_out()
        self._show_controls()

    def _pin(self, name: str, auto: int) -> NumberBox:
        box = NumberBox(name, auto, MAX_LAYERS, self.tell)
        box.setSpecialValueText("auto")
        box.show_value(auto)
        return box

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SIZES["space"])
        column.addWidget(text_label("GPUs, in the order they are filled", "small"))
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(SIZES["space-2"])
        self._grid.setVerticalSpacing(SIZES["space-half"])
        self._grid.setColumnStretch(4, 1)
        column.addLayout(self._grid)
        column.addWidget(self.cpu_only)
        column.addSpacing(SIZES["space"])
        self._several = QWidget()
        several = field_row(
            ("Split", self.split), ("Main GPU", self.main_gpu), ("Shares (advanced)", self.shares)
        )
        several.setContentsMargins(0, 0, 0, 0)
        self._several.setLayout(several)
        column.addWidget(self._several)
        self._pins = QWidget()
        pins = field_row(
            ("Layers on GPUs (pin)", self.gpu_layers),
            ("Expert layers in RAM (pin)", self.expert_layers),
        )
        pins.setContentsMargins(0, 0, 0, 0)
        self._pins.setLayout(pins)
        column.addWidget(self._pins)
        column.addWidget(self.problem)

    # --- what there is to choose from -------------------------------------------------------

    @property
    def boxes(self) -> list[TickBox]:
        """Return the check boxes in the order of use."""
        return [row.box for row in self.rows]

    def offer(self, gpus: Sequence[Gpu]) -> None:
        """Offer GPUs; all are chosen, in the driver's order."""
        if [gpu.uuid for gpu in gpus] == [gpu.uuid for gpu in self._gpus]:
            return
        self._gpus = tuple(gpus)
        for row in self.rows:
            for widget in row.widgets():
                widget.hide()
                widget.deleteLater()
        self.rows = [GpuRow(self._theme, gpu, n, self) for n, gpu in enumerate(gpus)]
        self._place()
        self._show_controls()

    def _place(self) -> None:
        for place, row in enumerate(self.rows):
            for column, widget in enumerate(row.widgets()):
                self._grid.addWidget(widget, place, column)
            row.earlier.setEnabled(place > 0)
            row.later.setEnabled(place < len(self.rows) - 1)
        chosen = [row.number for row in self.rows if row.box.isChecked()]
        self.main_gpu.offer([(str(n), f"GPU {n}") for n in chosen or [0]])

    def reorder(self, row: GpuRow, by: int) -> None:
        """Use a GPU earlier or later than it is used now."""
        place = self.rows.index(row)
        target = place + by
        if 0 <= target < len(self.rows):
            self.rows[place], self.rows[target] = self.rows[target], self.rows[place]
            self.tell()

    def _show_controls(self) -> None:
        self.setVisible(bool(self.rows))
        on_gpu = not self.cpu_only.isChecked()
        several = len(self.rows) > 1
        for place, row in enumerate(self.rows):
            row.box.setEnabled(on_gpu)
            row.kept.setEnabled(on_gpu and row.box.isChecked())
            for button in (row.earlier, row.later):
                button.setVisible(several)
            row.earlier.setEnabled(on_gpu and place > 0)
            row.later.setEnabled(on_gpu and place < len(self.rows) - 1)
        self._several.setVisible(several)
        for part in (self._several, self._pins):
            part.setEnabled(on_gpu)
        self.main_gpu.setEnabled(self.split.currentData() == "none")
        self.shares.setEnabled(self.split.currentData() != "none")
        wrong = self.shares_problem()
        self.problem.setText(wrong)
        self.problem.setVisible(bool(wrong))

    # --- what is chosen ---------------------------------------------------------------------

    def chosen(self) -> list[GpuRow]:
        """Return the GPUs that may be used, in order; none for the CPU alone."""
        if self.cpu_only.isChecked():
            return []
        return [row for row in self.rows if row.box.isChecked()]

    def devices(self) -> tuple[str, ...] | None:
        """Return the GPUs by the planner's names; None for all as the driver orders them."""
        chosen = self.chosen()
        if [row.number for row in chosen] == list(range(len(self._gpus))):
            return None
        return tuple(row.device for row in chosen)

    def named_devices(self) -> tuple[str, ...]:
        """Return the GPUs by the planner's names, all of them named."""
        return tuple(row.device for row in self.chosen())

    def reserves(self) -> tuple[int, ...]:
        """Return the bytes to keep free, one size for all where they are alike."""
        sizes = tuple(row.kept.value() * GB for row in self.chosen())
        return sizes[:1] if len(set(sizes)) == 1 else sizes

    def main_index(self) -> int:
        """Return the place of the main GPU among those chosen."""
        numbers = [str(row.number) for row in self.chosen()]
        main = str(self.main_gpu.currentData())
        return numbers.index(main) if main in numbers else 0

    def tensor_split(self) -> tuple[float, ...]:
        """Return the shares that were written, or none for shares by room."""
        if self.shares_problem() or self.split.currentData() == "none":
            return ()
        return _numbers(self.shares.text()) or ()

    def shares_problem(self) -> str:
        """Return what is wrong with the shares, "" if nothing is."""
        text, count = self.shares.text().strip(), len(self.chosen())
        if not text or count < 2 or self.split.currentData() == "none":
            return ""
        found = _numbers(text)
        if found is None or len(found) != count or not any(found):
            example = " : ".join(["2", *["1"] * (count - 1)])
            return f"Give one share for each of the {count} GPUs, like {example}."
        return ""

    def pins(self) -> tuple[int | None, int | None]:
        """Return the pinned (layers on GPUs, expert layers in RAM); None where the planner is to
        choose."""
        if not self.chosen():
            return None, None
        layers = self.gpu_layers.value()
        return None if layers == AUTO else layers, self.expert_layers.value() or None

    def show_options(self, options: LoadRequest) -> None:
        """Show what a model was loaded with last."""
        with QSignalBlocker(self):
            self._show_devices(options)
            reserves = options.reserve_bytes or ()
            for place, row in enumerate(self.chosen()):
                if reserves:
                    size = reserves[place] if place < len(reserves) else reserves[-1]
                    row.kept.setValue(round(size / GB))
            if options.split_mode is not None:
                self.split.show_value(options.split_mode)
            if options.tensor_split:
                self.shares.setText(" : ".join(f"{share:g}" for share in options.tensor_split))
            chosen = self.chosen()
            if options.main_gpu is not None and options.main_gpu < len(chosen):
                self.main_gpu.show_value(str(chosen[options.main_gpu].number))
            self.gpu_layers.setValue(AUTO if options.gpu_layers is None else options.gpu_layers)
            self.expert_layers.setValue(options.cpu_expert_layers or 0)
            self._show_controls()

    def _show_devices(self, options: LoadRequest) -> None:
        if options.devices is None:
            return
        self.cpu_only.setChecked(not options.devices)
        here = {row.device for row in self.rows}
        wanted = {name: place for place, name in enumerate(options.devices)}
        if wanted.keys() & here:  # a GPU that is gone cannot be chosen again
            for row in self.rows:
                row.box.setChecked(row.device in wanted)
            last = len(wanted)
            self.rows.sort(key=lambda row: wanted.get(row.device, last + row.number))
        self._place()

    def tell(self, _value: object = None) -> None:
        """Say that something else is chosen."""
        with QSignalBlocker(self):
            self._place()
            self._show_controls()
        self.changed.emit()


def _numbers(text: str) -> tuple[float, ...] | None:
    """Return numbers between colons, commas or spaces; None for anything else."""
    try:
        found = tuple(float(word) for word in re.split(r"[:;,\s]+", text.strip()) if word)
    except ValueError:
        return None
    return found if all(0 <= number < 1e6 for number in found) else None
