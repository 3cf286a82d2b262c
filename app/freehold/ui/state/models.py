"""The models of the server with what their engines do, merged; shared by pages and pickers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from PySide6.QtCore import QObject, Signal

from freehold.errors import AppError
from freehold.ui.state.session import Session
from freehold.units import format_bytes, format_count
from freehold.wire import EngineState, ErrorInfo, LoadRequest, ModelEntry

Condition = Literal["broken", "idle", "loading", "loaded", "failed", "unloading"]


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model as a page shows it."""

    entry: ModelEntry
    engine: EngineState | None
    is_default: bool

    @property
    def ref(self) -> str:
        return self.entry.ref

    @property
    def condition(self) -> Condition:
        """Return what can be said of the model in one word."""
        if self.engine is not None:
            return "loaded" if self.engine.phase == "ready" else self.engine.phase
        return "idle" if self.entry.ready and self.entry.problem is None else "broken"

    @property
    def error(self) -> ErrorInfo | None:
        """Return why the model cannot be used, None when it can."""
        if self.engine is not None and self.engine.phase == "failed":
            return self.engine.error
        return self.entry.problem if self.condition == "broken" else None

    @property
    def falls_back(self) -> bool:
        """Return whether its GPU is gone, so that the processor is what is left."""
        return self.error is not None and self.error.detail.get("fallback") == "cpu"

    @property
    def facts(self) -> tuple[str, ...]:
        """Return quantisation, size, architecture, experts and context as short texts."""
        entry = self.entry
        experts = f"{entry.experts_used} of {entry.experts} experts" if entry.experts else ""
        context = f"{format_count(entry.context_tokens)} context" if entry.context_tokens else ""
        parameters = f"{format_count(entry.parameters)} parameters" if entry.parameters else ""
        found = (entry.quant, format_bytes(entry.bytes), entry.arch, parameters, experts, context)
        return tuple(fact for fact in found if fact)


class ModelsState(QObject):
    """What the Models page and the model picker show.

    Signals:
        rows_changed: models came, went or moved.
        row_changed(ref): that row, and no other, is different.
        known_changed: the list was read for the first time, or lost.
    """

    rows_changed = Signal()
    row_changed = Signal(str)
    known_changed = Signal()

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._rows: dict[str, ModelRow] = {}
        self._known = False
        session.state_changed.connect(self._merge)
        self._merge()

    @property
    def rows(self) -> tuple[ModelRow, ...]:
        """Return every model by name."""
        return tuple(self._rows.values())

    @property
    def is_known(self) -> bool:
        """Return whether the list was read; before that, empty means nothing."""
        return self._known

    @property
    def loaded(self) -> tuple[ModelRow, ...]:
        """Return the models in memory."""
        return tuple(row for row in self.rows if row.condition == "loaded")

    @property
    def loading(self) -> tuple[ModelRow, ...]:
        """Return the models on their way into memory."""
        return tuple(row for row in self.rows if row.condition == "loading")

    def row(self, ref: str) -> ModelRow | None:
        """Return the row of a model, None when it is not known."""
        return self._rows.get(ref)

    async def load(self, ref: str, request: LoadRequest | None = None) -> None:
        """Begin to load a model; its row tells the rest."""
        await self._session.client.load_model(ref, request)

    async def unload(self, ref: str) -> None:
        """Free a model's memory, or give up loading it."""
        await self._session.client.unload_model(ref)

    async def remove(self, ref: str, *, delete_files: bool) -> int:
        """Forget a model; return the bytes freed."""
        return await self._session.client.remove_model(ref, delete_files=delete_files)

    async def import_file(self, path: str) -> ModelEntry:
        """Add a GGUF file of the server's machine."""
        if not path.strip():
            raise AppError("invalid_request", "No file was named.", "Choose a GGUF file.")
        return await self._session.client.import_model(path)

    def _merge(self) -> None:
        if self._session.state is None:
            return
        engines = {engine.ref: engine for engine in self._session.engines}
        default = self._session.settings.default_model_ref
        ordered = sorted(self._session.models, key=lambda m: (m.name.casefold(), m.ref))
        rows = {m.ref: ModelRow(m, engines.get(m.ref), m.ref == default) for m in ordered}
        old, self._rows = self._rows, rows
        first, self._known = not self._known, True
        if list(old) != list(rows):
            self.rows_changed.emit()
        for ref, row in rows.items():
            if ref in old and old[ref] != row:
                self.row_changed.emit(ref)
        if first:
            self.known_changed.emit()
