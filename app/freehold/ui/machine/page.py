"""The Machine page before its turn: what the server says of itself today."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from freehold.ui.state.models import ModelsState
from freehold.ui.state.session import Session
from freehold.ui.theme import Theme
from freehold.ui.widgets.placeholder import PlaceholderPage, Promise
from freehold.units import format_bytes

COMING = (
    Promise(
        "Your GPUs and memory",
        "Each card with its free and used memory, its temperature and what it draws, live.",
    ),
    Promise(
        "Will it fit?",
        "Before a model is loaded: which layers and experts go where, and how fast it will be.",
    ),
    Promise("Tuning", "Measured, not guessed: the placement that is fastest on this machine."),
)


class MachinePage(PlaceholderPage):
    """Shows the server's host, backend, disk and loaded models."""

    def __init__(
        self, session: Session, models: ModelsState, theme: Theme, parent: QWidget | None = None
    ) -> None:
        super().__init__(
            theme,
            "Machine",
            "The machine your models run on. Full hardware view and planner come in a later"
            " version; these figures are measured now.",
            COMING,
            parent,
        )
        self._session, self._models = session, models
        session.state_changed.connect(self._refresh)
        models.row_changed.connect(self._refresh)
        self._refresh()

    def _refresh(self, _cause: object = None) -> None:
        server = self._session.server
        self.facts.set("Computer", server.hostname if server else "…")
        self.facts.set("Engine backend", server.backend if server else "…")
        free = format_bytes(server.data_bytes_free) if server else "…"
        self.facts.set("Free on the data disk", free)
        loaded = self._models.loaded
        resident = sum(row.engine.resident_bytes for row in loaded if row.engine)
        self.facts.set(
            "Models in memory",
            f"{len(loaded)} ({format_bytes(resident)})" if loaded else "none",
        )
        devices = sorted({d for row in loaded if row.engine for d in row.engine.devices})
        self.facts.set("Devices in use", ", ".join(devices) or "none")
        self.facts.set("On the command line", "freehold doctor")
