"""Which model answers in a chat that names none."""

from __future__ import annotations

from collections.abc import Sequence

from freehold.wire import EngineState, ModelEntry, Settings


def choose_chat_model(
    settings: Settings, engines: Sequence[EngineState], models: Sequence[ModelEntry]
) -> str:
    """Return the default model, else the only loaded one, else the only ready one, else ""."""
    ready = {model.ref for model in models if model.ready and model.kind == "chat"}
    if settings.default_model_ref in ready:
        return settings.default_model_ref
    loaded = [e.ref for e in engines if e.phase in ("ready", "loading") and e.ref in ready]
    if len(loaded) == 1:
        return loaded[0]
    return next(iter(ready)) if len(ready) == 1 else ""
