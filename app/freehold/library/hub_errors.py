"""Why the hub does not give a file: three different things, each with its own next step."""

from __future__ import annotations

from typing import Final

from freehold.errors import AppError

NO_TOKEN: Final = "no_token"  # noqa: S105 - a reason, not a secret
NOT_ACCEPTED: Final = "not_accepted"
DENIED: Final = "denied"
SITE: Final = "https://huggingface.co"


def refused_access(
    repository: str,
    status: int,
    code: str,
    text: str,
    *,
    has_token: bool,
    site: str = SITE,
) -> AppError:
    """Return the error for a gated or private repository.

    detail: `reason` (no_token, not_accepted, denied), and the `link` where it is put right.
    """
    page = f"{site}/{repository}"
    if not has_token:
        return AppError(
            "unauthorized",
            f"{repository} is open only to people who have signed in.",
            f"Make a token at {site}/settings/tokens and give it to Freehold.",
            detail={
                "reason": NO_TOKEN,
                "link": f"{site}/settings/tokens",
                "repository": repository,
            },
        )
    lowered = text.casefold()
    if "rejected" in lowered or "awaiting" in lowered or code != "GatedRepo":
        waits = "awaiting" in lowered
        return AppError(
            "forbidden",
            f"Your request to use {repository} has not been answered yet."
            if waits
            else f"Your account may not use {repository}.",
            f"Look at {page}, or use a token of another account.",
            detail={"reason": DENIED, "link": page, "repository": repository},
        )
    return AppError(
        "forbidden",
        f"The licence of {repository} has not been accepted with your account.",
        f"Accept it at {page}, then try again.",
        detail={"reason": NOT_ACCEPTED, "link": page, "repository": repository},
    )


def offline() -> AppError:
    """Return the error for asking the hub while Freehold is told to stay offline."""
    return AppError(
        "network_failed",
        "Freehold is in offline mode.",
        "Switch it off (HF_HUB_OFFLINE) to look for models on the hub; those here go on working.",
        detail={"reason": "offline"},
    )
