"""What room this machine has for a model, looked at again when it is half a minute old."""

from __future__ import annotations

import threading
import time
from typing import Final

from freehold.devices.nvml import Nvml
from freehold.gguf.description import ModelFacts
from freehold.library.fit import Room, estimate_fit
from freehold.machine.host import read_memory
from freehold.wire_library import Fit

FRESH_S: Final = 30.0


class FitHere:
    """Says whether a model fits this machine. Blocks for a moment; call it in a thread."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._room: Room | None = None
        self._looked_at = 0.0

    def __call__(self, model_bytes: int, facts: ModelFacts | None = None) -> Fit:
        """Return the fit of a model of this size."""
        with self._guard:
            now = time.monotonic()
            if self._room is None or now - self._looked_at > FRESH_S:
                self._room, self._looked_at = look_around(), now
            room = self._room
        return estimate_fit(model_bytes, room, facts)


def look_around() -> Room:
    """Return the memory of this machine: all of the GPUs', and the RAM that programs can take."""
    gpu_bytes, name = 0, ""
    nvml, _ = Nvml.open()
    if nvml is not None:
        try:
            identities = nvml.identities()
            name = identities[0].name if identities else ""
            gpu_bytes = sum(gpu.memory_total_bytes or 0 for gpu in identities)
        finally:
            nvml.close()
    return Room(gpu_bytes=gpu_bytes, memory_bytes=read_memory().usable_bytes, gpu_name=name)
