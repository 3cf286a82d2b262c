"""What a plan is made for: context, chats at a time, KV type, and which GPUs, how full."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QRectF, QSignalBlocker, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QStyle,
    QStyleOptionButton,
    QVBoxLayout,
    QWidget,
)

from freehold.ui.settings.fields import ChoiceBox, NumberBox
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.labels import text_label
from freehold.units import format_bytes, format_count
from freehold.wire import LoadRequest, ModelEntry
from freehold.wire_machine import Gpu, Inventory, PlanRequest

CONTEXTS: Final = (2048, 4096, 8192, 16_384, 32_768, 65_536, 131_072, 262_144, 524_288, 1_048_576)
DEFAULT_CONTEXT: Final = 16_384
KV_TYPES: Final = (
    ("f16", "f16, exact"),
    ("q8_0", "q8_0, half the size"),
    ("q4_0", "q4_0, a quarter"),
)
SPLITS: Final = (
    ("layer", "By layers"),
    ("row", "By rows"),
    ("none", "Main GPU alone"),
)
MAX_PARALLEL: Final = 64
MAX_KEPT_GB: Final = 500
GPUS_PER_ROW: Final = 2
GB: Final = 1_000_000_000


class TickBox(QCheckBox):
    """A check box whose outline can be seen in the dark theme too."""

    def __init__(self, theme: Theme, text: str) -> None:
        super().__init__(text)
        self._theme = theme
        theme.changed.connect(self.update)

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        option = QStyleOptionButton()
        self.initStyleOption(option)
        box = self.style().subElementRect(QStyle.SubElement.SE_CheckBoxIndicator, option, self)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(self._theme.color("border-strong" if self.isEnabled() else "border"))
        painter.drawRoundedRect(QRectF(box).adjusted(0.5, 0.5, -0.5, -0.5), 3, 3)
        painter.end()


class PlanChoices(QWidget):
    """Signals: changed: something else is chosen now."""

    changed = Signal()

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        tell = self._tell
        self.context = ChoiceBox(theme, "Context", tell)
        self.parallel = NumberBox("Chats at a time", 1, MAX_PARALLEL, tell)
        self.parallel.show_value(4)
        self.kv_type = ChoiceBox(theme, "KV cache type", tell)
        self.kv_type.offer(KV_TYPES)
        self.kept = NumberBox("Gigabytes to keep free on each GPU", 0, MAX_KEPT_GB, tell)
        self.kept.setSuffix(" GB")
        self.kept.show_value(1)
        self.split = ChoiceBox(theme, "Split over GPUs", tell)
        self.split.offer(SPLITS)
        self.main_gpu = ChoiceBox(theme, "Main GPU", tell)
        self.cpu_only = TickBox(theme, "CPU only")
        self.cpu_only.toggled.connect(tell)
        self._gpus: tuple[Gpu, ...] = ()
        self.boxes: list[QCheckBox] = []
        self._box_grid = QGridLayout()
        self._gpu_part = QWidget()
        self._lay_out()
        self._show_gpu_controls()

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SIZES["space-2"])
        column.addLayout(
            _row(
                ("Context", self.context),
                ("Chats at a time", self.parallel),
                ("KV cache", self.kv_type),
            )
        )
        part = QVBoxLayout(self._gpu_part)
        part.setContentsMargins(0, 0, 0, 0)
        part.setSpacing(SIZES["space"])
        part.addWidget(text_label("GPUs", "small"))
        self._box_grid.setHorizontalSpacing(SIZES["space-3"])
        part.addLayout(self._box_grid)
        part.addWidget(self.cpu_only)
        self._several = QWidget()
        several = _row(("Split", self.split), ("Main GPU", self.main_gpu))
        several.setContentsMargins(0, 0, 0, 0)
        self._several.setLayout(several)
        last = _row(("Keep free on each GPU", self.kept))
        last.insertWidget(last.count() - 1, self._several)
        part.addLayout(last)
        column.addWidget(self._gpu_part)

    # --- what there is to choose from -----------------------------------------------------

    def offer_contexts(self, entry: ModelEntry | None) -> None:
        """Offer contexts up to what the model was trained for."""
        most = entry.context_tokens if entry and entry.context_tokens else DEFAULT_CONTEXT
        sizes = sorted({size for size in CONTEXTS if size <= most} | {most})
        before = self.context.currentData()
        self.context.offer([(str(n), f"{format_count(n)} tokens") for n in sizes])
        kept = before if before in [str(n) for n in sizes] else str(min(most, DEFAULT_CONTEXT))
        self.context.show_value(str(kept))

    def offer_gpus(self, inventory: Inventory | None) -> None:
        """Offer the GPUs llama.cpp may use; with none the whole part is hidden."""
        gpus = tuple(gpu for gpu in inventory.gpus if not gpu.lost) if inventory else ()
        if [gpu.uuid for gpu in gpus] != [gpu.uuid for gpu in self._gpus]:
            self._gpus = gpus
            self._make_boxes()
        self._show_gpu_controls()

    def _make_boxes(self) -> None:
        for box in self.boxes:
            box.hide()
            box.deleteLater()
        self.boxes = []
        for number, gpu in enumerate(self._gpus):
            total = f", {format_bytes(gpu.total_bytes)}" if gpu.total_bytes else ""
            box = TickBox(self._theme, f"GPU {number}: {gpu.name.removeprefix('NVIDIA ')}{total}")
            box.setChecked(True)
            box.toggled.connect(self._tell)
            self._box_grid.addWidget(box, number // GPUS_PER_ROW, number % GPUS_PER_ROW)
            self.boxes.append(box)
        self.main_gpu.offer([(str(n), f"GPU {n}") for n in range(len(self._gpus))])

    def _show_gpu_controls(self) -> None:
        self._gpu_part.setVisible(bool(self._gpus))
        on_gpu = not self.cpu_only.isChecked()
        for box in self.boxes:
            box.setEnabled(on_gpu)
        self.kept.setEnabled(on_gpu)
        self._several.setVisible(len(self._gpus) > 1)
        self._several.setEnabled(on_gpu)
        self.main_gpu.setEnabled(self.split.currentData() == "none")

    # --- what is chosen -------------------------------------------------------------------

    def chosen_devices(self) -> tuple[str, ...] | None:
        """Return the GPUs by llama.cpp's name; None for all, () for the CPU alone."""
        if self.cpu_only.isChecked():
            return ()
        if all(box.isChecked() for box in self.boxes):
            return None
        return tuple(
            gpu.engine_device or str(number)
            for number, (gpu, box) in enumerate(zip(self._gpus, self.boxes, strict=True))
            if box.isChecked()
        )

    def request(self, ref: str, machine: str = "") -> PlanRequest:
        """Return the question for a model; GPUs are those of this machine."""
        here = not machine
        devices = self.chosen_devices() if here else None
        used = self._used_count() if here else 1
        alone = self.split.currentData() == "none" and here and used > 0
        return PlanRequest(
            ref=ref,
            context_tokens=int(self.context.currentData() or DEFAULT_CONTEXT),
            parallel=self.parallel.value(),
            kv_type=str(self.kv_type.currentData()),
            devices=devices,
            split_mode=self.split.currentData() if here and self._gpus else "layer",
            main_gpu=min(int(self.main_gpu.currentData() or 0), used - 1) if alone else 0,
            reserve_bytes=(self.kept.value() * GB,) if self._gpus and here and used else (),
            machine=machine,
        )

    def _used_count(self) -> int:
        if self.cpu_only.isChecked():
            return 0
        return sum(box.isChecked() for box in self.boxes)

    def load_request(self, *, force: bool = False, from_disk: bool = False) -> LoadRequest:
        """Return how to load what is chosen; the server's planner places the parts."""
        asked = self.request("")
        devices = asked.devices
        if devices is None:
            devices = tuple(gpu.engine_device or str(n) for n, gpu in enumerate(self._gpus))
        return LoadRequest(
            context_tokens=asked.context_tokens,
            parallel=asked.parallel,
            kv_type_k=asked.kv_type,
            kv_type_v=asked.kv_type,
            devices=devices,
            split_mode=asked.split_mode,
            main_gpu=asked.main_gpu,
            reserve_bytes=asked.reserve_bytes or None,
            memory="mmap" if from_disk else None,
            force=True if force else None,
        )

    def _tell(self, _value: object = None) -> None:
        with QSignalBlocker(self):
            self._show_gpu_controls()
        self.changed.emit()


def _row(*fields: tuple[str, QWidget]) -> QHBoxLayout:
    """Return fields side by side, each under its name."""
    row = QHBoxLayout()
    row.setSpacing(SIZES["space-2"])
    for name, field in fields:
        column = QVBoxLayout()
        column.setSpacing(SIZES["space-half"])
        label = text_label(name, "small")
        label.setBuddy(field)
        column.addWidget(label)
        column.addWidget(field)
        column.addStretch(1)  # fields differ in height: names stand on one line
        row.addLayout(column)
    row.addStretch(1)
    return row
