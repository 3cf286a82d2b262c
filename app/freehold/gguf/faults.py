"""What is said about a file that cannot be used: the cause, and what to do about it."""

from __future__ import annotations

from typing import Final

from freehold.errors import AppError

DOWNLOAD_AGAIN: Final = "Download the file again, and compare its size with the original's."
CONVERT_AGAIN: Final = "Convert the model again with a current version of llama.cpp."


class InvalidGgufError(AppError):
    """A file that is not a sound GGUF; `reason` says what is wrong with it."""

    def __init__(self, name: str, reason: str, hint: str = DOWNLOAD_AGAIN) -> None:
        super().__init__(
            "invalid_model",
            f"{name} cannot be used as a model: {reason}.",
            hint,
            detail={"file": name, "reason": reason},
        )
        self.reason = reason


class CompanionFileError(InvalidGgufError):
    """A sound GGUF that is no model by itself; a search of folders passes over it."""

    def __init__(self, name: str, what: str, hint: str) -> None:
        super().__init__(name, f"it is {what}", hint)


def quoted(data: bytes | str, limit: int = 40) -> str:
    """Return foreign text fit for a message: printable, short, in quotes."""
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    shown = "".join(char if char.isprintable() else "�" for char in text[: limit + 1])
    return f"“{shown[:limit]}…”" if len(shown) > limit else f"“{shown}”"
