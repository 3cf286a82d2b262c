"""What the status strip and the tray say of the server, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from freehold.ui.state.models import ModelRow, ModelsState
from freehold.ui.state.session import Session
from freehold.units import format_rate

Condition = Literal["starting", "off", "lost", "idle", "loading", "loaded", "busy"]


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """The server in one word, one line and one address."""

    condition: Condition
    line: str
    address: str
    models: str

    @property
    def is_on(self) -> bool:
        return self.condition not in ("starting", "off", "lost")

    @property
    def tip(self) -> str:
        """Return the tool tip of the tray."""
        return "\n".join(part for part in (f"Freehold: {self.line}", self.models) if part)


def server_status(session: Session, models: ModelsState) -> ServerStatus:
    """Return what to say of the server now."""
    server = session.server
    address = server.base_url if server else ""
    if not session.is_connected:
        if session.is_paused:
            return ServerStatus("off", "Server off", "", "")
        if session.last_error is not None:
            return ServerStatus("lost", "Server not reachable, trying again", address, "")
        return ServerStatus("starting", "Starting the server…", "", "")
    place = "" if session.is_local or server is None else f" on {server.hostname}"
    line = f"Server{place}" if place else "Server on"
    running = sum(row.engine.running for row in models.loaded if row.engine)
    condition: Condition = "idle"
    if models.loading:
        condition = "loading"
    elif running:
        condition = "busy"
    elif models.loaded:
        condition = "loaded"
    return ServerStatus(condition, line, address, models_line(models.loaded))


def models_line(loaded: tuple[ModelRow, ...]) -> str:
    """Return the loaded models as text: `Kimi K2 · 42.0 tokens/s`."""
    if not loaded:
        return "No model loaded"
    parts = []
    for row in loaded:
        busy = row.engine is not None and row.engine.running > 0
        rate = row.engine.decode_tokens_per_s if row.engine and busy else 0.0
        parts.append(f"{row.entry.name} · {format_rate(rate)}" if rate else row.entry.name)
    return ", ".join(parts)
