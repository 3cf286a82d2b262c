"""What sending a message would do, said below the box when that is not plain."""

from __future__ import annotations

from collections.abc import Iterable

from freehold.wire import EngineState, ModelEntry


def sending_words(
    ref: str, models: Iterable[ModelEntry], engines: Iterable[EngineState]
) -> tuple[str, bool]:
    """Return what happens to a message sent to `ref`, and whether that is a problem."""
    model = next((model for model in models if model.ref == ref), None)
    engine = next((engine for engine in engines if engine.ref == ref), None)
    if not ref:
        return "", False
    if model is None:
        return f"{ref} is not on this machine any more. Choose another model above.", True
    if engine is None or engine.phase in ("failed", "unloading"):
        return f"{model.name} is not loaded; it is loaded when you send.", False
    if engine.phase == "loading":
        return f"{model.name} is loading. Your message will be sent when it is ready.", False
    return "", False
