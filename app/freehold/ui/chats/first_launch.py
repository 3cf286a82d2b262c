"""The first page of all: what this machine is, the starter model that is ready, and ways on."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from freehold.errors import AppError
from freehold.ui.state.session import Session
from freehold.ui.tasks import spawn
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.buttons import push_button
from freehold.ui.widgets.cards import Card
from freehold.ui.widgets.labels import ElidedLabel, prose, set_role, text_label
from freehold.units import format_bytes
from freehold.wire import ModelEntry
from freehold.wire_machine import Inventory

WIDTH: Final = 620
NOT_READ: Final = ("This machine could not be read.", "The Machine page says more.")
STARTER_TEXT: Final = (
    "An early version of a small guide to Freehold, for trying how a chat works. Most of its"
    " answers are still wrong: read Help for the app itself, find a bigger model for real work."
)


class FirstLaunch(QScrollArea):
    """Signals: start_asked(ref), find_asked, bring_asked, import_asked."""

    start_asked = Signal(str)
    find_asked = Signal()
    bring_asked = Signal()
    import_asked = Signal()

    def __init__(self, session: Session, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.ref = ""
        self._looked = False
        self.setAccessibleName("Welcome")
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.machine = (ElidedLabel("Looking at this machine…"), ElidedLabel("", "muted"))
        self.name = text_label("Starter model", "strong")
        self.state = text_label("", "chip")
        self.words = text_label(STARTER_TEXT, "muted", wrap=True)
        self.start = push_button(
            theme, "Start chatting", lambda: self.start_asked.emit(self.ref), kind="primary"
        )
        self.bring_first = push_button(
            theme, "Import a GGUF file…", self.import_asked.emit, kind="primary", icon="plus"
        )
        self.find_button = push_button(
            theme, "Find a bigger model", self.find_asked.emit, icon="search"
        )
        self.bring_button = push_button(
            theme, "Bring models you have", self.bring_asked.emit, icon="folder"
        )
        self._lay_out()

    def show_starter(self, entry: ModelEntry) -> None:
        """Show the starter model, ready or not."""
        self.ref = entry.ref
        self.state.setText("Ready" if entry.ready else "Not usable")
        set_role(self.state, "role", "chip-accent" if entry.ready else "chip-danger")
        problem = entry.problem
        if entry.ready or problem is None:
            self.words.setText(f"{STARTER_TEXT} ({format_bytes(entry.bytes)})")
        else:
            self.words.setText(f"{prose(problem.message)} {prose(problem.hint)}")
        set_role(self.words, "role", "muted" if entry.ready else "body")
        self.start.setVisible(entry.ready)
        self.bring_first.setVisible(not entry.ready)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        server = self._session.server
        if server is not None and not self._session.is_local:
            self.place.setText(f"The machine of the server, {server.hostname}")
        if not self._looked:
            self._looked = True
            spawn(self, self._look(), name="look at the machine")

    async def _look(self) -> None:
        try:
            found = await self._session.client.machine.state()
        except AppError:
            lines, self._looked = NOT_READ, False
        else:
            lines = machine_lines(found.inventory)
        for label, line in zip(self.machine, lines, strict=True):
            label.setText(line)

    def _lay_out(self) -> None:
        sheet = QWidget()
        sheet.setProperty("page", True)
        middle = QWidget()
        middle.setMaximumWidth(WIDTH)
        column = QVBoxLayout(middle)
        column.setContentsMargins(0, SIZES["space-4"], 0, SIZES["space-4"])
        column.setSpacing(SIZES["space-2"])
        column.addStretch(1)
        column.addWidget(text_label("Welcome to Freehold", "title"))
        column.addWidget(
            text_label(
                "Language models of your own, on your own machine. What you write stays here.",
                "muted",
                wrap=True,
            )
        )
        here = Card()
        self.place = text_label("This machine", "small")
        here.body.addWidget(self.place)
        for label in self.machine:
            here.body.addWidget(label)
        column.addWidget(here)
        column.addWidget(self._starter_card())
        ways = QHBoxLayout()
        ways.setSpacing(SIZES["space"])
        ways.addWidget(self.find_button)
        ways.addWidget(self.bring_button)
        ways.addStretch(1)
        column.addLayout(ways)
        column.addStretch(2)
        around = QHBoxLayout(sheet)
        around.setContentsMargins(SIZES["space-4"], 0, SIZES["space-4"], 0)
        around.addStretch(1)
        around.addWidget(middle, 100)
        around.addStretch(1)
        self.setWidget(sheet)

    def _starter_card(self) -> Card:
        card = Card()
        head = QHBoxLayout()
        head.setSpacing(SIZES["space"])
        head.addWidget(self.name)
        head.addWidget(self.state)
        head.addWidget(text_label("Comes with Freehold", "chip"))
        head.addStretch(1)
        foot = QHBoxLayout()
        foot.addWidget(self.start)
        foot.addWidget(self.bring_first)
        foot.addStretch(1)
        card.body.addLayout(head)
        card.body.addWidget(self.words)
        card.body.addSpacing(SIZES["space-half"])
        card.body.addLayout(foot)
        return card


def machine_lines(inventory: Inventory) -> tuple[str, str]:
    """Return what a machine is in two lines: processor and memory, then GPUs and disk."""
    cpu, memory = inventory.cpu, inventory.memory
    cores = "1 core" if cpu.cores == 1 else f"{cpu.cores} cores"
    first = f"{cpu.name}, {cores}  ·  {format_bytes(memory.total_bytes)} of memory"
    names: dict[str, int] = {}
    for gpu in inventory.gpus:
        size = f", {format_bytes(gpu.total_bytes)}" if gpu.total_bytes else ""
        name = f"{gpu.name.removeprefix('NVIDIA ')}{size}"
        names[name] = names.get(name, 0) + 1
    gpus = [f"{count} × {name}" if count > 1 else name for name, count in names.items()]
    parts = gpus or ["No graphics card in use"]
    if inventory.disks:
        parts.append(f"{format_bytes(inventory.disks[0].free_bytes)} free for models")
    return first, "  ·  ".join(parts)
