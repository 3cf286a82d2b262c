"""How commands reach the hub: by themselves, with this machine's token; no server is needed."""

from __future__ import annotations

import shutil

from freehold.library.finding import Finder
from freehold.library.hub import Hub
from freehold.library.hub_token import TokenStore
from freehold.machine.service import open_places
from freehold.paths import Paths
from freehold.server.fit_here import FitHere
from freehold.server.header_plan import HeaderPlanner
from freehold.wire import ModelEntry


def open_finder(paths: Paths) -> Finder:
    """Return what finds models; it knows nothing of those that are here."""
    paths.create()
    tokens = TokenStore(paths.config / "hub_token")

    async def none() -> tuple[ModelEntry, ...]:
        return ()

    return Finder(
        Hub(tokens),
        tokens,
        FitHere(),
        paths.cache / "headers",
        none,
        lambda: shutil.disk_usage(paths.models).free,
        HeaderPlanner(lambda: open_places(paths), paths.models),
    )
