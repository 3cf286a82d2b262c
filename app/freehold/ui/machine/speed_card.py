"""How fast the machine was measured to be, and the button that measures it."""

from __future__ import annotations

import datetime
from typing import Final

from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QWidget

from freehold.ui.state.machine import MachineView
from freehold.ui.theme import Theme
from freehold.ui.widgets.buttons import push_button
from freehold.ui.widgets.cards import Card, KeyValue
from freehold.ui.widgets.labels import prose, text_label
from freehold.units import format_bytes, format_duration
from freehold.wire_machine import CalibrationInfo, Inventory, MachineJob

# Other programs' load from which a measurement is not to be trusted.
BUSY_LOAD: Final = 0.7
NOT_MEASURED: Final = (
    "Not measured yet: speeds are estimates. Measuring takes about 20 seconds and keeps the "
    "processor, the memory and the disk busy."
)


class SpeedCard(Card):
    """Follows a `MachineView`."""

    def __init__(self, machine: MachineView, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._machine = machine
        self.note = text_label(NOT_MEASURED, "muted", wrap=True)
        self.facts = KeyValue()
        self.warning = text_label("", "warning", wrap=True)
        self.problem = text_label("", "danger", wrap=True)
        self.words = text_label("", "small")
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.start = push_button(theme, "Measure", machine.calibrate, icon="play")
        self.cancel = push_button(theme, "Cancel", machine.cancel, kind="quiet")
        for widget in (self.note, self.facts, self.warning, self.problem, self.words, self.bar):
            self.body.addWidget(widget)
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(self.cancel)
        buttons.addWidget(self.start)
        self.body.addLayout(buttons)
        machine.changed.connect(self._refresh)
        self._refresh()

    def _refresh(self) -> None:
        state = self._machine.state
        job = state.job if state is not None else None
        found = state.calibration if state is not None else None
        mine = job if job is not None and job.kind == "calibrate" else None
        running = mine is not None and not mine.is_over
        self.start.setEnabled(state is not None and (job is None or job.is_over))
        self.start.setVisible(not running)
        self.start.setText(" Measure again" if found is not None else " Measure")
        for widget in (self.cancel, self.words, self.bar):
            widget.setVisible(running)
        self.note.setVisible(found is None and not running)
        self.facts.setVisible(found is not None)
        self.warning.setVisible(found is not None and found.load > BUSY_LOAD)
        if found is not None and state is not None:
            self._show(found, state.inventory)
        if mine is not None:
            self.words.setText(job_words(mine))
            self.bar.setValue(round(1000 * mine.fraction))
            self.bar.setAccessibleName(self.words.text())
        error = mine.error if mine is not None else None
        self.problem.setVisible(error is not None and error.code != "cancelled")
        if error is not None:
            self.problem.setText(prose(f"{error.message} {error.hint}"))

    def _show(self, found: CalibrationInfo, inventory: Inventory) -> None:
        day = datetime.datetime.fromtimestamp(found.taken_at).astimezone()
        self.facts.set("Measured on", f"{day:%d %B %Y, %H:%M}")
        self.facts.set("Memory", f"{rate(found.ram_bytes_per_s)} read by all cores")
        self.facts.set("Processor", processor_words(found))
        if found.disk_bytes_per_s is not None:
            self.facts.set("Models disk", f"{rate(found.disk_bytes_per_s)} read past the cache")
        names = {gpu.uuid: gpu.name.removeprefix("NVIDIA ") for gpu in inventory.gpus}
        for number, gpu in enumerate(found.gpus):
            self.facts.set(
                f"GPU {number}",
                f"{names.get(gpu.uuid, gpu.uuid)}: weights {rate(gpu.memory_bytes_per_s)}, "
                f"prompts {gpu.flops / 1e12:.1f} TFLOP/s, PCIe {rate(gpu.pcie_bytes_per_s)}",
            )
        self.warning.setText(
            f"Other programs were busy meanwhile (load {found.load:.1f}), so this machine may be "
            "faster than it says here. Measure again when it is quiet."
        )


def rate(bytes_per_s: float) -> str:
    """Return bytes per second as `17.9 GB/s`."""
    return f"{format_bytes(round(bytes_per_s))}/s"


def processor_words(found: CalibrationInfo) -> str:
    """Return what the processor reaches in llama.cpp's own arithmetic."""
    return (
        f"{rate(found.weight_bytes_per_s)} of 8-bit weights, "
        f"{found.matrix_flops / 1e9:,.0f} GFLOP/s of prompt"
    )


def job_words(job: MachineJob) -> str:
    """Return how far a job is: `Trying 4 threads  ·  1 min left`."""
    left = f"  ·  {format_duration(job.left_s)} left" if job.left_s is not None else ""
    return f"{job.words}{left}"
