"""llama.cpp's log: the last lines kept for error messages, warnings passed on to stderr."""

from __future__ import annotations

import ctypes
import sys
from collections import deque
from typing import Any, Final

from llama_cpp import llama_cpp as native

KEPT_LINES: Final = 200
LINE_CHARACTERS: Final = 400
_WARNING: Final = 3  # GGML_LOG_LEVEL_WARN; 4 is error, 5 continues the line before
_CONTINUE: Final = 5


class NativeLog:
    """Receives llama.cpp's log while it is installed; there is one per process."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._open = ""
        self._level = 0
        self._callback: Any = native.llama_log_callback(self._receive)

    def install(self) -> None:
        """Begin to receive."""
        native.llama_log_set(self._callback, ctypes.c_void_p())

    def clear(self) -> None:
        """Forget what was said so far."""
        self._lines.clear()

    def lines(self) -> list[str]:
        """Return the last lines, oldest first."""
        return list(self._lines)

    def _receive(self, level: int, text: bytes, _user_data: object) -> None:
        if level != _CONTINUE:
            self._level = level
        self._open += text.decode("utf-8", "replace")
        *whole, self._open = self._open.split("\n")
        for line in whole:
            if line.strip(". "):
                self._lines.append(line[:LINE_CHARACTERS])
                if self._level >= _WARNING:
                    sys.stderr.write(line[:LINE_CHARACTERS] + "\n")
        self._open = self._open[-LINE_CHARACTERS:]
