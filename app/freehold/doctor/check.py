"""One finding of `freehold doctor`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, what was found, and what to do.

    needed: Freehold does not work without it; a failed one makes the command exit with 1.
    fix: empty where there is nothing to do.
    """

    name: str
    ok: bool
    detail: str
    fix: str = ""
    needed: bool = True

    def to_dict(self) -> dict[str, object]:
        """Return the check in the form scripts rely on."""
        return {"name": self.name, "ok": self.ok, "detail": self.detail, "fix": self.fix}
