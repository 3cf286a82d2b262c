"""The reasons for which one file is not read, each with its next step."""

from __future__ import annotations

from freehold.errors import AppError


def damaged(name: str, reason: str) -> AppError:
    """Return the error for a file that is not what its format says."""
    return AppError(
        "invalid_document",
        f"“{name}” cannot be read: {reason}.",
        "Open it in the program that made it and save it again.",
        detail={"file": name, "reason": reason},
    )


def encrypted(name: str) -> AppError:
    """Return the error for a file behind a password."""
    return AppError(
        "encrypted_document",
        f"“{name}” is protected with a password.",
        "Save a copy without the password and add that.",
        detail={"file": name},
    )


def unsupported(name: str, what: str, hint: str) -> AppError:
    """Return the error for a format that is not read."""
    return AppError(
        "unsupported_media_type", f"“{name}” is {what}.", hint, detail={"file": name, "what": what}
    )


def too_large(name: str, what: str, hint: str = "Split the file and add the parts.") -> AppError:
    """Return the error for a file beyond a limit; `what` names the figure and the limit."""
    return AppError(
        "payload_too_large", f"“{name}” is too large: {what}.", hint, detail={"file": name}
    )
