"""The person's token for the hub: from the environment, the key ring, or a private file."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import keyring
import keyring.errors

from freehold.errors import AppError
from freehold.secrets import write_private

log = logging.getLogger(__name__)

Place = Literal["none", "environment", "keyring", "file"]
SERVICE: Final = "freehold"
USER: Final = "huggingface.co"
_SHAPE: Final = re.compile(r"[A-Za-z0-9_\-]{4,256}")


@dataclass(frozen=True, slots=True)
class Token:
    """A token and where it was found; `value` is None where there is none."""

    value: str | None = field(repr=False)
    kept_in: Place


class TokenStore:
    """Where the token is kept. Blocks (the key ring may ask the person): call it in a thread."""

    def __init__(self, file: Path, environment: Mapping[str, str] = os.environ) -> None:
        self._file = file
        self._environment = environment

    def read(self) -> Token:
        """Return the token that is in force."""
        preset = self._environment.get("HF_TOKEN", "").strip()
        if preset:
            return Token(preset, "environment")
        kept = _from_keyring()
        if kept:
            return Token(kept, "keyring")
        try:
            text = self._file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return Token(None, "none")
        return Token(text or None, "file" if text else "none")

    def save(self, value: str) -> Token:
        """Keep a token in the key ring, or in a file that only this user can read.

        Raises: AppError `invalid_request`, `no_permission` or `disk_full`.
        """
        value = value.strip()
        if not _SHAPE.fullmatch(value):
            raise AppError(
                "invalid_request",
                "That is not a token of the hub.",
                "Copy it whole from huggingface.co/settings/tokens; it begins with hf_.",
            )
        try:
            keyring.set_password(SERVICE, USER, value)
        except keyring.errors.KeyringError:
            log.info("there is no key ring; the hub's token is kept in a private file")
        if _from_keyring() == value:
            self._file.unlink(missing_ok=True)
            return Token(value, "keyring")
        write_private(self._file, value + "\n")
        return Token(value, "file")

    def forget(self) -> None:
        """Remove the token from key ring and file."""
        try:
            if _from_keyring():
                keyring.delete_password(SERVICE, USER)
        except keyring.errors.KeyringError as error:
            raise AppError(
                "no_permission",
                "The key ring did not let go of the token.",
                "Unlock it and try again, or remove the entry “freehold” there.",
            ) from error
        self._file.unlink(missing_ok=True)


def _from_keyring() -> str | None:
    try:
        found = keyring.get_password(SERVICE, USER)
    except keyring.errors.KeyringError:
        return None
    return str(found) if found else None
