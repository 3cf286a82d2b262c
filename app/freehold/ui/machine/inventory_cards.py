"""What the machine is made of: a card per GPU, and one for processor, memory and disks."""

from __future__ import annotations

from typing import Final

from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.cards import Card, KeyValue
from freehold.ui.widgets.labels import ElidedLabel, set_role, text_label
from freehold.units import format_bytes
from freehold.wire_machine import Gpu, Inventory

COLUMNS: Final = 2
NOT_READ: Final = "no reading"


class GpuCard(Card):
    """One GPU: memory, load, power, temperature and who uses it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.name = ElidedLabel("", "strong")
        self.state = text_label("", "chip")
        self.memory = QProgressBar()
        self.memory.setRange(0, 1000)
        self.memory.setTextVisible(False)
        self.memory_words = text_label("", "small")
        self.live = text_label("", "body", wrap=True)
        self.facts = ElidedLabel("", "small")
        self.programs = ElidedLabel("", "small")
        head = QHBoxLayout()
        head.addWidget(self.name, 1)
        head.addWidget(self.state)
        self.body.addLayout(head)
        for widget in (self.memory_words, self.memory, self.live, self.facts, self.programs):
            self.body.addWidget(widget)

    def show_gpu(self, number: int, gpu: Gpu) -> None:
        """Show a GPU as it is now."""
        self.name.setText(f"GPU {number}  ·  {gpu.name.removeprefix('NVIDIA ')}")
        if gpu.lost:
            self._say_state("Lost", "chip-danger")
        elif gpu.throttled:
            self._say_state(f"Slowed: {', '.join(gpu.throttled)}", "chip-warning")
        elif gpu.engine_device is None:
            self._say_state("Not used by this build", "chip-warning")
        else:
            self.state.hide()
        self.memory.setVisible(bool(gpu.total_bytes))
        if gpu.total_bytes and gpu.free_bytes is not None:
            used = gpu.total_bytes - gpu.free_bytes
            self.memory.setValue(round(1000 * used / gpu.total_bytes))
            self.memory_words.setText(
                f"{format_bytes(used)} of {format_bytes(gpu.total_bytes)} used"
            )
        else:
            self.memory_words.setText(f"Memory: {NOT_READ}")
        self.memory.setAccessibleName(self.memory_words.text())
        self.live.setText("  ·  ".join(live_words(gpu)))
        self.facts.setText("  ·  ".join(gpu_facts(gpu)))
        self.programs.setText(program_words(gpu))

    def _say_state(self, words: str, look: str) -> None:
        self.state.setText(words)
        set_role(self.state, "role", look)
        self.state.show()


def live_words(gpu: Gpu) -> list[str]:
    """Return load, power and temperature, each saying when it cannot be read."""
    limit = f" of {gpu.power_limit_watts:.0f}" if gpu.power_limit_watts else ""
    power = NOT_READ if gpu.power_watts is None else f"{gpu.power_watts:.0f}{limit} W"
    load = NOT_READ if gpu.load_percent is None else f"{gpu.load_percent} %"
    heat = NOT_READ if gpu.temperature_c is None else f"{gpu.temperature_c} °C"
    return [f"Load {load}", f"Power {power}", f"Temperature {heat}"]


def gpu_facts(gpu: Gpu) -> list[str]:
    """Return what does not change: link, compute capability, ECC, MIG, PCI id."""
    found = [
        gpu.pcie or "",
        f"compute {gpu.compute_capability}" if gpu.compute_capability else "",
        "ECC" if gpu.ecc else "",
        "MIG" if gpu.mig else "",
        gpu.pci_id,
    ]
    return [fact for fact in found if fact]


def program_words(gpu: Gpu) -> str:
    """Return who holds memory on a GPU."""
    if not gpu.programs:
        return "No program uses it."
    names = [
        f"{program.name or program.pid}"
        + (f" {format_bytes(program.bytes)}" if program.bytes is not None else "")
        for program in gpu.programs
    ]
    return f"Used by {', '.join(names)}"


class InventoryCards(QWidget):
    """All cards; `show_inventory` brings the next reading."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SIZES["space-2"])
        self.note = text_label("", "muted", wrap=True)
        self._grid = QGridLayout()
        self._grid.setSpacing(SIZES["space-2"])
        self.gpus: list[GpuCard] = []
        host = Card()
        self.facts = KeyValue()
        host.body.addWidget(self.facts)
        self.reading = text_label("Reading the machine…", "muted")
        self._host = host
        host.hide()
        self.note.hide()
        column.addWidget(self.reading)
        column.addWidget(self.note)
        column.addLayout(self._grid)
        column.addWidget(host)

    def show_inventory(self, inventory: Inventory) -> None:
        """Show the machine as it is now."""
        self.reading.hide()
        self._host.show()
        self.note.setText(inventory.gpu_note)
        self.note.setVisible(bool(inventory.gpu_note))
        while len(self.gpus) < len(inventory.gpus):
            place = len(self.gpus)
            card = GpuCard()
            self.gpus.append(card)
            self._grid.addWidget(card, place // COLUMNS, place % COLUMNS)
        for number, card in enumerate(self.gpus):
            card.setVisible(number < len(inventory.gpus))
            if number < len(inventory.gpus):
                card.show_gpu(number, inventory.gpus[number])
        cpu, memory = inventory.cpu, inventory.memory
        threads = f", {cpu.threads} threads" if cpu.has_smt else ""
        nodes = f", {cpu.numa_nodes} NUMA nodes" if cpu.numa_nodes > 1 else ""
        self.facts.set("Processor", f"{cpu.name}: {cpu.cores} cores{threads}{nodes}")
        if cpu.features:
            self.facts.set("Instructions", " ".join(cpu.features))
        self.facts.set(
            "Memory",
            f"{format_bytes(memory.usable_bytes)} available of {format_bytes(memory.total_bytes)}",
        )
        if inventory.driver:
            self.facts.set("NVIDIA driver", inventory.driver)
        if inventory.expert_kernels:
            self.facts.set("Expert kernels", inventory.expert_kernels)
        for disk in inventory.disks:
            free = f"{format_bytes(disk.free_bytes)} free of {format_bytes(disk.total_bytes)}"
            rate = disk.read_bytes_per_s
            speed = f"reads {format_bytes(round(rate))}/s (measured), " if rate else ""
            self.facts.set("Models disk", f"{speed}{free} in {disk.folder}")
