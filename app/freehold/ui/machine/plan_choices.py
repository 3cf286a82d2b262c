"""What a plan is made for: context, chats at a time, KV type, and which GPUs, how full."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QSignalBlocker, Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from freehold.ui.machine.field_row import field_row
from freehold.ui.machine.gpu_choice import AUTO, GpuChoice
from freehold.ui.settings.fields import ChoiceBox, NumberBox
from freehold.ui.theme import SIZES, Theme
from freehold.units import format_count
from freehold.wire import LoadRequest, ModelEntry
from freehold.wire_machine import Inventory, PlanRequest

CONTEXTS: Final = (2048, 4096, 8192, 16_384, 32_768, 65_536, 131_072, 262_144, 524_288, 1_048_576)
DEFAULT_CONTEXT: Final = 16_384
KV_TYPES: Final = (
    ("f16", "f16, exact"),
    ("q8_0", "q8_0, half the size"),
    ("q4_0", "q4_0, a quarter"),
)
MAX_PARALLEL: Final = 64


class PlanChoices(QWidget):
    """Signals: changed: something else is chosen now."""

    changed = Signal()

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        tell = self._tell
        self.context = ChoiceBox(theme, "Context", tell)
        self.parallel = NumberBox("Chats at a time", 1, MAX_PARALLEL, tell)
        self.parallel.show_value(4)
        self.kv_type = ChoiceBox(theme, "KV cache type", tell)
        self.kv_type.offer(KV_TYPES)
        self.gpus = GpuChoice(theme)
        self.gpus.changed.connect(tell)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SIZES["space-2"])
        column.addLayout(
            field_row(
                ("Context", self.context),
                ("Chats at a time", self.parallel),
                ("KV cache", self.kv_type),
            )
        )
        column.addWidget(self.gpus)

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
        self.gpus.offer(gpus)

    def show_options(self, options: LoadRequest) -> None:
        """Show what a model was loaded with last; what was never chosen stays as it is."""
        with QSignalBlocker(self):
            if options.context_tokens is not None:
                value = str(options.context_tokens)
                if self.context.findData(value) < 0:
                    words = f"{format_count(options.context_tokens)} tokens"
                    self.context.addItem(words, value)
                self.context.show_value(value)
            if options.parallel is not None:
                self.parallel.show_value(options.parallel)
            if options.kv_type_k is not None and self.kv_type.findData(options.kv_type_k) >= 0:
                self.kv_type.show_value(options.kv_type_k)
            self.gpus.show_options(options)

    # --- what is chosen -------------------------------------------------------------------

    def request(self, ref: str, machine: str = "") -> PlanRequest:
        """Return the question for a model; GPUs are those of this machine."""
        gpus, here = self.gpus, not machine
        used = len(gpus.chosen()) if here else 0
        alone = gpus.split.currentData() == "none" and used > 0
        layers, experts = gpus.pins() if here else (None, None)
        return PlanRequest(
            ref=ref,
            context_tokens=int(self.context.currentData() or DEFAULT_CONTEXT),
            parallel=self.parallel.value(),
            kv_type=str(self.kv_type.currentData()),
            devices=gpus.devices() if here else None,
            split_mode=gpus.split.currentData() if here and gpus.rows else "layer",
            main_gpu=gpus.main_index() if alone else 0,
            tensor_split=gpus.tensor_split() if used > 1 else (),
            reserve_bytes=gpus.reserves() if used else (),
            gpu_layers=layers,
            cpu_expert_layers=experts,
            machine=machine,
        )

    def load_request(self, *, force: bool = False, from_disk: bool = False) -> LoadRequest:
        """Return how to load what is chosen; the server's planner places the parts."""
        asked = self.request("")
        return LoadRequest(
            context_tokens=asked.context_tokens,
            parallel=asked.parallel,
            kv_type_k=asked.kv_type,
            kv_type_v=asked.kv_type,
            devices=self.gpus.named_devices(),
            split_mode=asked.split_mode,
            main_gpu=asked.main_gpu,
            tensor_split=asked.tensor_split,
            reserve_bytes=asked.reserve_bytes or None,
            gpu_layers=AUTO if asked.gpu_layers is None else asked.gpu_layers,
            cpu_expert_layers=asked.cpu_expert_layers or 0,
            memory="mmap" if from_disk else None,
            force=True if force else None,
        )

    def _tell(self, _value: object = None) -> None:
        self.changed.emit()
