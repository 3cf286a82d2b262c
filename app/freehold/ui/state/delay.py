"""A call that is made a little later, once, however often it is asked for meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer


class Delay(QTimer):
    """A single-shot timer for calls that start tasks.

    Qt events are also handled while no asyncio loop runs (before the start, at the end); a call
    that falls into such a moment is made later.
    """

    def __init__(self, after_ms: int, call: Callable[[], object], parent: QObject) -> None:
        super().__init__(parent)
        self._call = call
        self.setSingleShot(True)
        self.setInterval(after_ms)
        self.timeout.connect(self._make)

    def _make(self) -> None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            self.start()
            return
        self._call()
