"""The model a new chat begins with, and what there is besides those that come with Freehold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from freehold.wire import EngineState, ModelEntry

BUNDLED: Final = "bundled"
CHOSEN: Final = ("imported", "downloaded")


def choose_default(
    models: Sequence[ModelEntry],
    engines: Iterable[EngineState],
    default_ref: str,
    recent: Iterable[str] = (),
) -> str:
    """Return the model for a new chat, "" where none can answer.

    In this order: the default of the settings, one that is loaded, the last one used, one the
    person brought or downloaded, the starter, any other. A model of another program's folder may
    be of any size, so it is not loaded unasked while the starter is there.
    """
    usable = [model for model in models if model.kind == "chat" and model.ready]
    refs = {model.ref for model in usable}
    wanted = [default_ref]
    wanted += [engine.ref for engine in engines if engine.phase in ("ready", "loading")]
    wanted += recent
    wanted += [model.ref for model in usable if model.origin in CHOSEN]
    wanted += [model.ref for model in usable if model.origin == BUNDLED]
    wanted += [model.ref for model in usable]
    return next((ref for ref in wanted if ref in refs), "")


def starter_of(models: Iterable[ModelEntry]) -> ModelEntry | None:
    """Return the chat model that comes with Freehold, usable or not."""
    return next((m for m in models if m.origin == BUNDLED and m.kind == "chat"), None)


def has_own(models: Iterable[ModelEntry]) -> bool:
    """Return whether there is a chat model besides those that come with Freehold."""
    return any(m.origin != BUNDLED and m.kind == "chat" for m in models)
